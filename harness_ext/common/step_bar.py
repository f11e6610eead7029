"""The progress bar of a training by transformers' Trainer, where a run may resume from a checkpoint."""

from collections.abc import Mapping
from typing import Any

from tqdm import tqdm
from transformers import (
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)


def show_steps(trainer: Trainer, shown: Mapping[str, str], **options: Any) -> None:
    """Replace what ``trainer`` prints with one bar, on the main process, unless ``disable_tqdm`` is set.

    Args:
        trainer: Has not begun to train.
        shown: The logged figures that stand behind the bar, and their names there; the latest of them stay.
        options: Further arguments of tqdm.
    """
    for printing in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(printing)
    trainer.add_callback(_StepBar(shown, options))


class _StepBar(TrainerCallback):
    def __init__(self, shown: Mapping[str, str], options: Mapping[str, Any]) -> None:
        self._shown = shown
        self._options = options

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        # A resumed run does not begin at 0.
        steps = {"total": state.max_steps, "initial": state.global_step, "unit": "step", "dynamic_ncols": True}
        self._bar = tqdm(**steps, disable=args.disable_tqdm or not state.is_world_process_zero, **self._options)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._bar.update(state.global_step - self._bar.n)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, Any], **_: Any
    ) -> None:
        found = {short: f"{logs[name]:.3g}" for name, short in self._shown.items() if logs.get(name) is not None}
        if found:
            self._bar.set_postfix(found)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._bar.close()
