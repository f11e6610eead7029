"""One line of progress: where a run is, and the few figures that say how it goes."""

from typing import Any, Final

from tqdm import tqdm
from transformers import TrainerState, TrainingArguments

from harness_ext.step_bar import StepBar

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


class Progress(StepBar):
    """A progress bar; all that is logged goes to the reporters, and nothing of it to the screen."""

    def opened(self, args: TrainingArguments, state: TrainerState) -> "tqdm[Any] | None":
        """On the main process, unless it is turned off."""
        if not state.is_world_process_zero or args.disable_tqdm:
            return None
        return tqdm(total=state.max_steps, initial=state.global_step, unit="step", dynamic_ncols=True)

    def figures(self, logs: dict[str, Any]) -> dict[str, float]:
        """Those of ``_SHOWN`` that are there."""
        return {short: float(logs[name]) for name, short in _SHOWN.items() if logs.get(name) is not None}
