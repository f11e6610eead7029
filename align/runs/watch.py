"""What stops a run of any method: a loss or a gradient that is not a finite number, before the weights take a step on it.

Weights that are not finite stop it too, before a checkpoint is made of them.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerState, TrainingArguments

from align.stopped import TrainingStopped


class Watch(TrainerCallback):
    """All processes stop together, or none does.

    Args:
        accelerator: Of the trainer.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._seen: list[tuple[Tensor, list[int]]] = []

    def note(self, loss: Tensor, rows: Sequence[int]) -> None:
        """Take in the loss, shape (), of one forward and backward pass of the update to come, and the rows it is of."""
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
        """Stop where one of ``weights``, which the update before ``step`` made, is not finite: no loss may come to tell.

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
