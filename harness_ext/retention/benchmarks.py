"""What is asked: the benchmarks of a suite, as the group of its tasks names them, and the scores of each."""

from collections.abc import Collection, Mapping
from typing import Final, Literal

import yaml

from harness_ext.benchmark import task_folder

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


_SHARES: Final = {"acc,none": "accuracy, na dropped", "acc_na_wrong,none": "accuracy, na wrong"}
# The scores of each benchmark, of which more is better: by the name in the harness's results file, filter included, the title
# for the reader of a table, with the unit or the largest value.
METRICS: Final[Mapping[str, Mapping[str, str]]] = {
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


def harness_of(suite: Suite) -> Literal["lmms_eval", "lm_eval"]:
    """The harness that asks the suite's benchmarks."""
    return "lm_eval" if suite == "text" else "lmms_eval"


def benchmarks(suite: Suite, without: Collection[str] = ()) -> list[str]:
    """The tasks of ``suite``, in the order of its group, less those named in ``without``."""
    file = next(task_folder(harness_of(suite)).rglob(f"retention_{suite}.yaml"))
    tasks: list[str] = yaml.safe_load(file.read_text(encoding="utf-8"))["task"]
    return [task for task in tasks if task not in without]
