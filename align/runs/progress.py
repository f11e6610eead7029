"""One line of progress: where a run is, and the few figures that say how it goes."""

from typing import Any, Final

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

# What is shown, and under which name, where the trainer logs it.
_SHOWN: Final = {
    "loss": "loss",
    "reward": "reward",
    "ppo/kl": "kl",
    "kl": "kl",
    "entropy": "entropy",
    "ppo/explained_variance": "explained",
    "monitor/drift": "drift",
    "rewards/accuracies": "preferred",
}


class Progress(TrainerCallback):
    """A progress bar; all that is logged goes to the reporters, and nothing of it to the screen."""

    _bar: "tqdm[Any] | None" = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Open the bar, at the step that a resumed run goes on from."""
        if state.is_world_process_zero and not args.disable_tqdm:
            self._bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", dynamic_ncols=True)

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
        if self._bar is not None and logs:
            figures = {short: logs[name] for name, short in _SHOWN.items() if logs.get(name) is not None}
            self._bar.set_postfix({name: f"{float(value):.3g}" for name, value in figures.items()})

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Close it."""
        if self._bar is not None:
            self._bar.close()
