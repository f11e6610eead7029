"""What stops a run: the error, with the samples that show why, and the check that every step takes finite numbers."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerState, TrainingArguments

from align.sharding import local
from harness_ext.common.errors import UserError
from harness_ext.common.files import write_text
from harness_ext.report.page.training import STOPPED_FILE

_SHOWN: Final = 8


def sample(row: Mapping[str, Any], response: str) -> dict[str, Any]:
    """A sample as a stop reports it: its row's number, concept, label and question, where known, and the response."""
    known = {key: row[key] for key in ("row", "concept", "label", "question") if key in row}
    return {"row": None, **known, "response": response}


class TrainingStopped(UserError):
    """Training cannot continue: an invalid number, a rollout that means nothing, an end before the last step.

    ``step`` is the optimiser step that would have come next, ``samples`` are as :func:`sample` makes them. The message names
    their rows alone: a response may hold text that not everybody wants on a screen.
    """

    status = 1

    def __init__(self, reason: str, step: int, samples: Sequence[dict[str, Any]] = ()) -> None:
        self.step = step
        self.samples = list(samples)
        rows = ", ".join(str(sample["row"]) for sample in self.samples[:_SHOWN])
        more = f" and {len(self.samples) - _SHOWN} more" if len(self.samples) > _SHOWN else ""
        super().__init__(f"stopped at step {step}: {reason}" + (f"; rows {rows}{more}" if rows else ""))

    def write(self, folder: Path) -> None:
        """Write reason and samples into ``folder``, as ``stopped.json``; the last of several processes' files stays."""
        content = {"step": self.step, "reason": str(self), "samples": self.samples}
        write_text(folder / STOPPED_FILE, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


class FiniteSteps(TrainerCallback):
    """Stops a run before a step on a loss or gradient, or a checkpoint of weights, that are not finite; on all processes."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._passes: list[tuple[Tensor, list[int]]] = []

    def note(self, loss: Tensor, rows: Sequence[int]) -> None:
        """Note the loss, shape (), of one forward and backward pass of the next update, and its rows."""
        self._passes.append((loss.detach().isfinite().all(), list(rows)))

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: Any, model: nn.Module, **_: Any
    ) -> None:
        """Stop where a loss or the gradient is not finite, with the update's rows of such a loss, or with all of its rows."""
        passes, self._passes = self._passes, []
        gradient = self._norm(model).isfinite().to(args.device)
        # Under float16 a gradient may overflow: the step is then left out, and the loss scaled down.
        wrong = torch.stack([*(~finite for finite, _ in passes), ~gradient & (not args.fp16)]).to(args.device)
        if not int(self._accelerator.reduce(wrong.sum(), reduction="sum")):
            return
        losses = bool(self._accelerator.reduce(wrong[:-1].sum(), reduction="sum"))
        rows = [row for finite, rows in passes for row in rows if not (losses and bool(finite))]
        raise TrainingStopped(
            f"the {'loss' if losses else 'gradient'} is not a finite number: lower learning_rate, or use another precision",
            int(state.global_step),
            [{"row": row} for row in dict.fromkeys(gather_object(rows))],
        )

    def _norm(self, model: nn.Module) -> Tensor:
        """The norm of the gradient, or of this process's part of it, shape (); 0 without one."""
        engine = getattr(self._accelerator, "deepspeed_engine_wrapped", None)
        if engine is not None:  # took the step already, on a gradient that it keeps to itself
            return torch.as_tensor(engine.get_global_grad_norm() or 0.0)
        gradients = [local(each.grad) for each in model.parameters() if each.grad is not None]
        return nn.utils.get_total_norm(gradients) if gradients else torch.zeros(())

    def check_weights(self, weights: Iterable[Tensor], step: int) -> None:
        """Stop where one of ``weights`` is not finite after the update before ``step``: no later loss may show it."""
        wrong = ~torch.stack([local(each).detach().isfinite().all() for each in weights])
        if int(self._accelerator.reduce(wrong.sum(), reduction="sum")):
            raise TrainingStopped(
                "the last update made weights that are not finite numbers, and no checkpoint is made of them: lower "
                "learning_rate, or use another precision",
                step,
            )
