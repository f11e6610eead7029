"""The part that all trainers share: checkpoints that are whole or not there, and a stop before a step on a bad number.

`transformers.Trainer` writes a checkpoint file by file into its place, so that a killed process leaves half of one there, and
the next one resumes from that. This overrides three private methods of it, and the tests that kill runs hold it to them:
``_get_output_dir``, ``_save_checkpoint``, ``_load_optimizer_and_scheduler``.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback, TrainerState, TrainingArguments

from align.folder import RunFolder
from align.record import Taken, read_record
from align.stopped import TrainingStopped
from harness_ext.common.errors import UserError


class WholeCheckpoints(Trainer):
    """Goes before a trainer of TRL among the bases of a class.

    Args:
        run: The folder of the run.
        describe: Called in the main process with a checkpoint's folder, its step, and the time of training so far, before
            the folder is moved into its place; writes the card and the record.
        kwargs: The trainer's own.

    Raises:
        UserError: The model is spread over processes.
    """

    def __init__(self, *, run: RunFolder, describe: Callable[[Path, int, Taken], None], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.is_deepspeed_enabled or self.is_fsdp_enabled:
            raise UserError("each process needs a whole copy of the model here: launch without DeepSpeed and FSDP")
        self._run = run
        self._describe = describe
        self._began, self._earlier = _now(), Taken(0.0, 0.0)
        self._watch = Watch(self.accelerator)
        self.add_callback(self._watch)

    def trained(self) -> Iterator[Tensor]:
        """The weights that training changes and a checkpoint holds."""
        yield from (each for each in self.model.parameters() if each.requires_grad)

    def save_extra(self, folder: Path) -> None:
        """Write further files of a checkpoint, beside the adapter and the trainer's state; in the main process."""

    def load_extra(self, folder: Path) -> None:
        """Read the files of `save_extra`; in every process, when a run resumes."""

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """A forward and backward pass, whose loss is watched."""
        rows = _rows(inputs)
        loss = super().training_step(model, inputs, num_items_in_batch)
        self._watch.note(loss, rows)
        return loss

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """None in the output folder: each checkpoint has its own."""

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._run.unfinished)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self._watch.check_weights(self.trained(), int(self.state.global_step))
        super()._save_checkpoint(model, trial)
        # Each process wrote the state of its random generators.
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            step = int(self.state.global_step)
            folder = self._run.unfinished / f"checkpoint-{step}"
            self.save_extra(folder)
            self._describe(folder, step, self._taken())
            self._run.publish(folder.name)
            self._run.keep_last(self.args.save_total_limit)
        self.accelerator.wait_for_everyone()

    def _taken(self) -> Taken:
        now, began, earlier = _now(), self._began, self._earlier
        return Taken(
            now.seconds - began.seconds + earlier.seconds, now.cpu_seconds - began.cpu_seconds + earlier.cpu_seconds
        )

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self._earlier = Taken.of(read_record(Path(checkpoint)))
            self.load_extra(Path(checkpoint))


def _now() -> Taken:
    return Taken(time.monotonic(), time.process_time())


def _rows(inputs: Any) -> list[int]:
    """The rows of a rollout's prompts, or of a batch of tensors, from which they are removed."""
    if isinstance(inputs, list):
        return [each["row"] for each in inputs]
    return list(inputs.pop("row").tolist())


class Watch(TrainerCallback):
    """Stops a run before the weights take a step on a loss or a gradient that is not a finite number.

    It also stops before a checkpoint is made of weights that are not finite. All processes stop together, or none does.

    Args:
        accelerator: The trainer's.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._seen: list[tuple[Tensor, list[int]]] = []

    def note(self, loss: Tensor, rows: Sequence[int]) -> None:
        """Note the loss, shape (), of one forward and backward pass of the next update, and its rows."""
        self._seen.append((loss.detach().isfinite().all(), list(rows)))

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: Any, model: nn.Module, **_: Any
    ) -> None:
        """Stop where a loss, or the gradient, is not finite.

        Raises:
            TrainingStopped: With the rows of this update whose loss is not finite, or with all of its rows.
        """
        seen, self._seen = self._seen, []
        gradients = [each.grad for each in model.parameters() if each.grad is not None]
        gradient = (
            nn.utils.get_total_norm(gradients).isfinite() if gradients else torch.tensor(True, device=args.device)
        )
        # Under float16 a gradient may overflow: the step is then left out, and the loss scaled down.
        wrong = torch.stack([*(~finite for finite, _ in seen), ~gradient & (not args.fp16)]).to(args.device)
        if not int(self._accelerator.reduce(wrong.sum(), reduction="sum")):
            return
        losses = bool(self._accelerator.reduce(wrong[:-1].sum(), reduction="sum"))
        rows = [row for (finite, rows) in seen for row in rows if not (losses and bool(finite))]
        raise TrainingStopped(
            f"the {'loss' if losses else 'gradient'} is not a finite number: lower learning_rate, or use another precision",
            int(state.global_step),
            [{"row": row} for row in dict.fromkeys(gather_object(rows))],
        )

    def check_weights(self, weights: Iterable[Tensor], step: int) -> None:
        """Stop where one of ``weights`` is not finite after the update before ``step``: no later loss may show it.

        Raises:
            TrainingStopped: On every process.
        """
        wrong = ~torch.stack([each.detach().isfinite().all() for each in weights])
        if int(self._accelerator.reduce(wrong.sum(), reduction="sum")):
            raise TrainingStopped(
                "the last update made weights that are not finite numbers, and no checkpoint is made of them: lower "
                "learning_rate, or use another precision",
                step,
            )
