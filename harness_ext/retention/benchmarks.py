"""What is asked: the benchmarks of a suite, as the group of its tasks names them, and the scores of each."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import yaml

from harness_ext.benchmark import task_folder

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


@dataclass(frozen=True)
class Benchmark:
    """One task of a harness, asked as it is.

    Attributes:
        task: Its name there.
        harness: The harness that asks it.
        metrics: Its scores, of which more is better: by the name in the harness's results file, filter included
            (``"acc,none"``), the title for the reader of a table, with the unit or the largest value.
    """

    task: str
    harness: Harness
    metrics: Mapping[str, str]


_SHARES: Final = {"acc,none": "accuracy, na dropped", "acc_na_wrong,none": "accuracy, na wrong"}
_METRICS: Final[Mapping[str, Mapping[str, str]]] = {
    "mme": {
        "mme_perception_score,none": "perception score, of 2,000",
        "mme_cognition_score,none": "cognition score, of 800",
    },
    "llava_in_the_wild": {"gpt_eval_llava_all,none": "judged, % of the reference's"},
    "mmstar": {"average,none": "accuracy, mean of 18 skills"},
    "pope": {
        "pope_accuracy,none": "accuracy",
        "pope_precision,none": 'precision of "yes"',
        "pope_recall,none": 'recall of "yes"',
    },
    "realworldqa": {"exact_match,none": "accuracy"},
    "ai2d": {"exact_match,flexible-extract": "accuracy"},
    "mmlu": {"acc,none": "accuracy"},
    "hellaswag": {"acc_norm,none": "accuracy, by length"},
    "arc_challenge": {"acc_norm,none": "accuracy, by length"},
    "truthfulqa_mc2": {"acc,none": "mass of the true answers"},
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
