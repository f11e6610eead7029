"""A judge that watches a run of PPO and gives no reward: where the two drift apart, the run says so, and may stop.

The last ``monitor_window`` rollouts are held against the first ``monitor_first`` (``ppo/drift.py``). A warning is a line on
the screen, without any response, and a line of ``monitor.jsonl`` with the responses on which reward and judge disagree. The
next warning is about later rollouts alone.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from accelerate import Accelerator
from accelerate.utils import gather_object
from pydantic import TypeAdapter, ValidationError
from torch import Tensor
from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from typing_extensions import TypedDict

from align.ppo.config import PPOConfig
from align.ppo.drift import Drift, Pairs, drift, level, pooled
from align.rewards.base import as_texts, judge_named, judged_rows, require_labels, responses
from align.stopped import TrainingStopped, sample
from harness_ext.common.errors import UserError
from harness_ext.common.files import append_text, write_text
from harness_ext.common.options import problem
from harness_ext.common.output import neutral
from harness_ext.common.reading import Unreadable, parse_object, read_json, read_lines
from harness_ext.judges.base import BatchJudge
from harness_ext.records import FAILED
from harness_ext.report.page.training import WARNINGS_FILE

# The monitor's state in a checkpoint.
MONITOR_FILE: Final = "monitor.json"


def watching_judge(args: PPOConfig, rewards: list[dict[str, Any]]) -> BatchJudge | None:
    """Opens the judge that ``monitor`` names; ``None`` where no judge is to watch.

    ``rewards`` is a list that :func:`align.rewards.build.build_rewards` accepts. Raises ``UserError`` where the judge cannot
    be opened, or where its verdict, with the same options, is the only reward.
    """
    if args.monitor is None:
        return None
    watching = args.monitor, as_texts(args.monitor_options)
    if all(
        each["name"] == "verdict" and (each.get("judge", "rules"), as_texts(each.get("judge_options"))) == watching
        for each in rewards
        if each.get("weight", 1) != 0
    ):
        raise UserError(
            f"monitor: expected another judge than the one that gives the reward, found {args.monitor!r} for both: it would "
            "watch itself; name another judge, or take monitor out"
        )
    return judge_named(args.monitor, args.monitor_options)


@dataclass(frozen=True)
class WatchedRollout:
    """A rollout's responses of all processes, but for those on which the judge failed; ``samples`` as in ``stopped.json``."""

    rollout: int
    scores: list[float]
    verdicts: list[str]
    samples: list[dict[str, Any]]

    @property
    def pairs(self) -> Pairs:
        """The reward of each response, and 1 where the judge calls it right for its image's label, else 0."""
        read = zip(self.verdicts, self.samples, strict=True)
        return np.array(self.scores), np.array([float(verdict == each["label"]) for verdict, each in read])


# Another name than the rest of a checkpoint's state has; "from" is no name to Python.
_Watched = TypedDict(
    "_Watched", {"judge": str, "first": list[WatchedRollout], "last": list[WatchedRollout], "from": int}
)
_WATCHED: Final = TypeAdapter(_Watched)


class Monitor(TrainerCallback):
    """Watches a run; all processes see the same figures, and all stop or none."""

    def __init__(self, judge: BatchJudge, args: PPOConfig, accelerator: Accelerator) -> None:
        self._judge = judge
        self._args = args
        self._is_main = accelerator.is_main_process
        self._warnings = Path(args.output_dir) / WARNINGS_FILE
        self._first: list[WatchedRollout] = []
        self._last: list[WatchedRollout] = []
        # The first rollout that no warning was about yet.
        self._from = 0

    def watch(
        self, rollout: int, step: int, inputs: list[dict[str, Any]], completions: list[Any], scores: Tensor
    ) -> dict[str, float]:
        """Read the rollout of that number, from 0 on, before optimiser step ``step``; returns the figures to log.

        ``inputs`` are this process's B rows, ``completions`` their responses, ``scores`` the rewards of these, shape (B,).
        Raises ``UserError`` for an invalid label or question, ``TrainingStopped`` where the drift is beyond ``monitor_stop``
        or there is nothing to measure it by.
        """
        require_labels([each["label"] for each in inputs])
        read = judged_rows(self._judge, completions, inputs)
        told = [sample(row, text) for row, text in zip(inputs, responses(completions), strict=True)]
        every = gather_object(list(zip(scores.tolist(), read, told, strict=True)))
        kept = [each for each in every if each[1] != FAILED]
        if not kept:
            raise TrainingStopped(
                f"the judge {self._judge.name}, which watches the run, failed on all {len(every)} responses of a rollout: "
                "see what it says is wrong, then run the same command again",
                step,
                [each[2] for each in every],
            )
        seen = WatchedRollout(rollout, *map(list, zip(*kept, strict=True)))
        figures = {
            "monitor/right": float(seen.pairs[1].mean()),
            "monitor/na": seen.verdicts.count("na") / len(kept),
            "monitor/failed": (len(every) - len(kept)) / len(every),
        }
        if len(self._first) < self._args.monitor_first:
            self._first.append(seen)
            _, right = pooled([each.pairs for each in self._first])
            if len(self._first) == self._args.monitor_first and not right.any():
                raise TrainingStopped(
                    f"the judge {self._judge.name} calls none of the first {len(right)} responses right, so that there is "
                    "nothing to hold the reward against: watch by another judge, or by none",
                    step,
                    seen.samples,
                )
            return figures
        figures["monitor/reward"] = float(self._read(seen).mean())
        self._last = [*self._last, seen][-self._args.monitor_window :]
        if len(self._last) < self._args.monitor_window:
            return figures
        found = drift([each.pairs for each in self._first], [each.pairs for each in self._last])
        warns = found.least > self._args.monitor_warn and self._last[0].rollout >= self._from
        if warns:
            self._warn(found, step)
        if self._args.monitor_stop is not None and found.least > self._args.monitor_stop:
            raise TrainingStopped(f"{self._said(found)} (monitor_stop)", step, self._disagreed())
        drifted = {"drift": found.drift, "drift_error": found.error, "warnings": float(warns)}
        return figures | {f"monitor/{name}": value for name, value in drifted.items()}

    def _read(self, seen: WatchedRollout) -> np.ndarray:
        """The rewards of a rollout on the judge's scale, 0 to 1, at the level of the first rollouts."""
        return level(*pooled([each.pairs for each in self._first])).read(seen.pairs[0])

    def _warn(self, found: Drift, step: int) -> None:
        first, last = self._last[0].rollout, self._last[-1].rollout
        self._from = last + 1
        if not self._is_main:
            return
        disagreed = self._disagreed()
        figures = {"drift": found.drift, "error": found.error, "reward": found.reward, "right": found.right}
        about = {"step": step, "rollouts": [first, last], "judge": self._judge.name}
        append_warning(self._warnings, {**about, **figures, "responses": disagreed})
        tqdm.write(
            neutral(
                f"align: warning at step {step}: {self._said(found)}; {len(disagreed)} responses on which they disagree "
                f"are in {self._warnings}"
            ),
            file=sys.stderr,
        )

    def _said(self, found: Drift) -> str:
        return (
            f"in rollouts {self._last[0].rollout} to {self._last[-1].rollout} the reward calls {found.reward:.3f} of the "
            f"responses right, and the judge {self._judge.name}, which watches, {found.right:.3f}: they have drifted apart "
            f"by {found.drift:.3f} (standard error {found.error:.3f})"
        )

    def _disagreed(self) -> list[dict[str, Any]]:
        """The window's responses that either the reward or the judge calls right, but not both."""
        return [
            {"rollout": seen.rollout, **seen.samples[i], "verdict": seen.verdicts[i], "reward": seen.scores[i]}
            for seen in self._last
            for i in np.flatnonzero(np.abs(self._read(seen) - seen.pairs[1]) > 0.5)
        ]

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Forget the warnings after the checkpoint that the run resumes from, or all of them."""
        if self._is_main:
            keep_before(self._warnings, int(state.global_step))

    def save(self, folder: Path) -> None:
        """Write what `load` needs."""
        state = {
            "judge": self._judge.name,
            "first": [asdict(each) for each in self._first],
            "last": [asdict(each) for each in self._last],
            "from": self._from,
        }
        write_text(folder / MONITOR_FILE, json.dumps(state) + "\n")

    def load(self, folder: Path) -> None:
        """Read what `save` wrote. Raises ``UserError`` where another judge, or another version of it, watched until then."""
        file = folder / MONITOR_FILE
        try:
            state = _WATCHED.validate_python(read_json(file))
        except ValidationError as error:
            raise UserError(f"{file}: not as a watched run writes it: {problem(error)}") from error
        if state["judge"] != self._judge.name:
            raise UserError(
                f"{folder}: watched by the judge {state['judge']}, found {self._judge.name} now: what they say cannot be "
                "compared; resume with that one, or begin anew (--overwrite true)"
            )
        self._first, self._last, self._from = state["first"], state["last"], state["from"]


def append_warning(file: Path, warning: dict[str, Any]) -> None:
    """Add a warning, which holds its ``step``, as a line of JSON; it is on the disk when this returns."""
    append_text(file, json.dumps(warning) + "\n")  # escaped: a response may hold separators of lines


def keep_before(file: Path, step: int) -> None:
    """Forget the warnings from ``step`` on, which come again, and a last line that was cut off in writing.

    Raises ``UserError`` where the file holds something else.
    """
    if not file.exists():
        return
    kept = []
    try:
        for number, line in read_lines(file):
            if line.startswith("{") and not line.endswith("\n"):
                break  # what was cut off; a rest of another kind is damage
            if parse_object(line, file, number)["step"] < step:
                kept.append(line)
    except (Unreadable, LookupError, TypeError) as error:
        raise UserError(f"{file}: expected a watched run's lines of JSON, each with a step: move it away") from error
    if kept:
        write_text(file, "".join(kept))
    else:
        file.unlink()
