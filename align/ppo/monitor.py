"""A judge that watches a run of PPO and gives no reward: where the two drift apart, the run says so, and may stop.

The last ``monitor_window`` rollouts are held against the first ``monitor_first`` (``drift.py``). A warning is one line on the
screen, which holds no response, and one of ``monitor.jsonl`` with the responses on which reward and judge disagree; the next
one is about rollouts that come after. What a run that goes on needs is in its checkpoints, as ``monitor.json``.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from align.ppo.config import PPOConfig
from align.ppo.drift import Drift, drift, level, pooled
from align.ppo.warnings_file import WarningsFile
from align.ppo.watched import Watched, read
from align.stopped import TrainingStopped
from harness_ext.errors import UserError
from harness_ext.judges.batch import BatchJudge

MONITOR_FILE: Final = "monitor.json"


class Monitor(TrainerCallback):
    """Watches a run; all processes see the same figures, and all stop or none.

    Args:
        judge: Reads the responses.
        args: The run's settings, of which those named ``monitor…`` are read here.
        accelerator: Of the trainer.
    """

    def __init__(self, judge: BatchJudge, args: PPOConfig, accelerator: Accelerator) -> None:
        self._judge = judge
        self._args = args
        self._accelerator = accelerator
        self._file = WarningsFile(Path(args.output_dir))
        self._first: list[Watched] = []
        self._last: list[Watched] = []
        # The first rollout that no warning was about yet.
        self._from = 0

    def watch(
        self, rollout: int, step: int, inputs: list[dict[str, Any]], completions: list[Any], scores: Tensor
    ) -> dict[str, float]:
        """Read a rollout; returns the figures to log.

        Args:
            rollout: Its number, from 0 on.
            step: The optimiser step that is to come.
            inputs: This process's rows, with the columns ``label`` and ``question``.
            completions: What they were answered.
            scores: What the answers earned, shape (B,).

        Raises:
            UserError: A row's label or question is none.
            TrainingStopped: The drift is beyond ``monitor_stop``, or there is nothing to measure it by.
        """
        seen, failed = read(self._judge, self._accelerator, rollout, step, inputs, completions, scores)
        earned, right = seen.pairs
        figures = {
            "monitor/right": float(right.mean()),
            "monitor/na": seen.verdicts.count("na") / len(right),
            "monitor/failed": failed / (failed + len(right)),
        }
        if len(self._first) < self._args.monitor_first:
            self._first.append(seen)
            if len(self._first) == self._args.monitor_first:
                self._check_first(step)
            return figures
        at = level(*pooled([each.pairs for each in self._first]))
        figures["monitor/reward"] = float(at.read(earned).mean())
        self._last = [*self._last, seen][-self._args.monitor_window :]
        if len(self._last) < self._args.monitor_window:
            return figures
        found = drift([each.pairs for each in self._first], [each.pairs for each in self._last])
        warns = found.least > self._args.monitor_warn and self._last[0].rollout >= self._from
        if warns:
            self._warn(found, step)
        if self._args.monitor_stop is not None and found.least > self._args.monitor_stop:
            raise TrainingStopped(f"{self._said(found)} (monitor_stop)", step, self._disagreed())
        return figures | {
            "monitor/drift": found.drift,
            "monitor/drift_error": found.error,
            "monitor/warnings": float(warns),
        }

    def _check_first(self, step: int) -> None:
        """Of which none is right, no reward says how much of it should be."""
        scores, right = pooled([each.pairs for each in self._first])
        if not right.any():
            raise TrainingStopped(
                f"the judge {self._judge.name} calls none of the first {len(scores)} responses right, so that there is "
                "nothing to hold the reward against: watch by another judge, or by none",
                step,
                self._first[-1].samples,
            )

    # --- warnings ----------------------------------------------------------------------------------------------------

    def _warn(self, found: Drift, step: int) -> None:
        first, last = self._last[0].rollout, self._last[-1].rollout
        self._from = last + 1
        if not self._accelerator.is_main_process:
            return
        disagreed = self._disagreed()
        figures = {"drift": found.drift, "error": found.error, "reward": found.reward, "right": found.right}
        about = {"step": step, "rollouts": [first, last], "judge": self._judge.name}
        self._file.append({**about, **figures, "responses": disagreed})
        tqdm.write(
            f"align: warning at step {step}: {self._said(found)}; {len(disagreed)} responses on which they disagree are in "
            f"{self._file.path}",
            file=sys.stderr,
        )

    def _said(self, found: Drift) -> str:
        return (
            f"in rollouts {self._last[0].rollout} to {self._last[-1].rollout} the reward calls {found.reward:.3f} of the "
            f"responses right, and the judge {self._judge.name}, which watches, {found.right:.3f}: they have drifted apart "
            f"by {found.drift:.3f} (standard error {found.error:.3f})"
        )

    def _disagreed(self) -> list[dict[str, Any]]:
        """The responses of the window that one of reward and judge calls right, and the other does not."""
        at = level(*pooled([each.pairs for each in self._first]))
        found = []
        for seen in self._last:
            scores, right = seen.pairs
            apart = np.abs(at.read(scores) - right) > 0.5
            for i in np.flatnonzero(apart):
                of_judge = {"verdict": seen.verdicts[i], "reward": seen.scores[i]}
                found.append({"rollout": seen.rollout, **seen.samples[i], **of_judge})
        return found

    # --- going on ----------------------------------------------------------------------------------------------------

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Forget the warnings that come after the checkpoint that the run goes on from, or all of them."""
        if self._accelerator.is_main_process:
            self._file.keep_before(int(state.global_step))

    def save(self, folder: Path) -> None:
        """Write what `load` needs."""
        state = {
            "judge": self._judge.name,
            "first": _plain(self._first),
            "last": _plain(self._last),
            "from": self._from,
        }
        (folder / MONITOR_FILE).write_text(json.dumps(state) + "\n", encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Go on as if nothing had happened since `save`.

        Raises:
            UserError: Another judge watched until then, or another version of it.
        """
        state = json.loads((folder / MONITOR_FILE).read_text(encoding="utf-8"))
        if state["judge"] != self._judge.name:
            raise UserError(
                f"{folder}: watched by the judge {state['judge']}, found {self._judge.name} now: what they say cannot be "
                "compared; go on with that one, or begin anew (--overwrite true)"
            )
        self._first, self._last = ([Watched(**each) for each in state[name]] for name in ("first", "last"))
        self._from = state["from"]


def _plain(watched: Sequence[Watched]) -> list[dict[str, Any]]:
    return [asdict(each) for each in watched]
