"""What is asked: the benchmarks of a suite, as the group of its tasks names them, and the numbers that sum each up."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import yaml

from harness_ext.benchmark import task_folder
from harness_ext.common.errors import UserError

Harness = Literal["lmms_eval", "lm_eval"]
Suite = Literal["vision", "text", "glyphworld"]
# `all` leaves glyphworld out: it is a stand-in for the benchmarks, not one of them.
SUITES: Final[Mapping[str, tuple[Suite, ...]]] = {
    "vision": ("vision",),
    "text": ("text",),
    "glyphworld": ("glyphworld",),
    "all": ("vision", "text"),
}
TITLES: Final[Mapping[Suite, str]] = {
    "vision": "Abilities with images",
    "text": "Abilities in text, without an image",
    "glyphworld": "glyphworld: a stand-in, not a benchmark",
}
# The one that a language model judges.
JUDGED: Final = "llava_in_the_wild"
# The smallest number of rows that a task can be cut to a multiple of: MME counts questions about one image in pairs.
LIMIT_STEP: Final = 2


@dataclass(frozen=True)
class Metric:
    """One number of a benchmark; more of it is better.

    Attributes:
        name: As in the harness's result file, its filter included: ``"acc,none"``.
        title: For the reader of a table, with its unit or largest value.
    """

    name: str
    title: str


@dataclass(frozen=True)
class Benchmark:
    """One task of a harness, asked as it is.

    Attributes:
        task: Its name there.
        harness: The harness that asks it.
        metrics: The numbers that sum it up.
    """

    task: str
    harness: Harness
    metrics: tuple[Metric, ...]


_SHARES: Final = (Metric("acc,none", "accuracy, na dropped"), Metric("acc_na_wrong,none", "accuracy, na wrong"))
_METRICS: Final[Mapping[str, tuple[Metric, ...]]] = {
    "mme": (
        Metric("mme_perception_score,none", "perception score, of 2,000"),
        Metric("mme_cognition_score,none", "cognition score, of 800"),
    ),
    "llava_in_the_wild": (Metric("gpt_eval_llava_all,none", "judged, % of the reference's"),),
    "mmstar": (Metric("average,none", "accuracy, mean of 18 skills"),),
    "pope": (
        Metric("pope_accuracy,none", "accuracy"),
        Metric("pope_precision,none", 'precision of "yes"'),
        Metric("pope_recall,none", 'recall of "yes"'),
    ),
    "realworldqa": (Metric("exact_match,none", "accuracy"),),
    "ai2d": (Metric("exact_match,flexible-extract", "accuracy"),),
    "mmlu": (Metric("acc,none", "accuracy"),),
    "hellaswag": (Metric("acc_norm,none", "accuracy, by length"),),
    "arc_challenge": (Metric("acc_norm,none", "accuracy, by length"),),
    "truthfulqa_mc2": (Metric("acc,none", "mass of the true answers"),),
    "glyphworld_capability": _SHARES,
    "glyphworld_perception": _SHARES,
    "glyphworld_text": _SHARES,
}


def benchmarks(suite: Suite, without: Collection[str] = ()) -> list[Benchmark]:
    """The benchmarks of ``suite``, in the order of its group, less those named in ``without``."""
    harness: Harness = "lm_eval" if suite == "text" else "lmms_eval"
    file = next(task_folder(harness).rglob(f"retention_{suite}.yaml"))
    tasks = yaml.safe_load(file.read_text(encoding="utf-8"))["task"]
    return [Benchmark(task, harness, _METRICS[task]) for task in tasks if task not in without]


def check_without(suites: Collection[Suite], without: Collection[str]) -> None:
    """Raise ``UserError`` where ``without`` names what is not asked anyway, or leaves nothing of a suite."""
    asked = {benchmark.task: suite for suite in suites for benchmark in benchmarks(suite)}
    if unknown := sorted(set(without) - set(asked)):
        raise UserError(f"--without {','.join(unknown)}: not among what is asked, {', '.join(asked)}")
    for suite in suites:
        if not benchmarks(suite, without):
            raise UserError(f"--without leaves nothing of the suite {suite!r}; choose another by --suite")
