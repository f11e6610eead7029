"""What all trainers share: checkpoints that are whole or not there, and a stop before a step on something that is no number.

`transformers.Trainer` writes a checkpoint file by file into its place, so that a killed process leaves half of one there, and
the next one goes on from that. Used of its private surface, and held to it by the tests that kill runs: ``_get_output_dir``,
``_save_checkpoint``, ``_load_optimizer_and_scheduler``.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import Trainer

from align.runs.folder import RunFolder
from align.runs.record import Taken, read_record
from align.runs.watch import Watch
from harness_ext.errors import UserError


class WholeCheckpoints(Trainer):
    """Goes before a trainer of TRL among the bases of a class.

    Args:
        run: The folder of the run.
        describe: Called in the main process with a checkpoint's folder, its step, and what training took so far, before it is
            moved into its place; writes the card and the record.
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
        """The weights that training changes: what a checkpoint is made of."""
        yield from (each for each in self.model.parameters() if each.requires_grad)

    def save_extra(self, folder: Path) -> None:
        """Write what a checkpoint holds beside the adapter and the trainer's state; in the main process."""

    def load_extra(self, folder: Path) -> None:
        """Read what `save_extra` wrote; in every process, when a run goes on."""

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
    """The rows of a rollout's prompts, or of a batch of tensors, out of which they are taken."""
    if isinstance(inputs, list):
        return [each["row"] for each in inputs]
    return list(inputs.pop("row").tolist())
