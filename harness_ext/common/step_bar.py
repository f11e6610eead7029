"""The progress bar of a training by transformers' Trainer, where a run may resume from a checkpoint."""

from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class StepBar(TrainerCallback):
    """One line of progress; a subclass says how it is opened, and what stands behind it."""

    _bar: "tqdm[Any] | None" = None

    def opened(self, args: TrainingArguments, state: TrainerState) -> "tqdm[Any] | None":
        """A bar at ``state.global_step`` of ``state.max_steps``, or ``None`` for none."""
        raise NotImplementedError

    def figures(self, logs: dict[str, Any]) -> dict[str, float] | None:
        """What of ``logs`` is shown from now on; ``None`` leaves what is there."""
        raise NotImplementedError

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Open the bar, at the step where a resumed run continues."""
        self._bar = self.opened(args, state)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Move it on."""
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Show the latest figures."""
        if self._bar is not None and logs and (figures := self.figures(logs)) is not None:
            self._bar.set_postfix({name: f"{value:.3g}" for name, value in figures.items()})

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Close it."""
        if self._bar is not None:
            self._bar.close()
