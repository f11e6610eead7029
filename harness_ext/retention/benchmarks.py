"""What is asked: the benchmarks of a suite, as the group of its tasks names them, and the scores of each."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal

import yaml

from harness_ext.benchmark import task_folder

Suite = Literal["vision", "text", "safety", "glyphworld"]
# `all` is the abilities that a model should keep. Safety should change; glyphworld is a stand-in for the benchmarks.
SUITES: Final[Mapping[str, tuple[Suite, ...]]] = {
    "vision": ("vision",),
    "text": ("text",),
    "safety": ("safety",),
    "glyphworld": ("glyphworld",),
    "all": ("vision", "text"),
}
TITLES: Final[Mapping[Suite, str]] = {
    "vision": "Abilities with images",
    "text": "Abilities in text, without an image",
    "safety": "Safety: attacks that succeed, and refusals, of what is harmful and of what is not",
    "glyphworld": "glyphworld: a stand-in, not a benchmark",
}
LLAVA_BENCH: Final = "llava_in_the_wild"
HOLISAFE_JUDGED: Final = "retention_holisafe_judged"
# Those that a language model judges; the second one shows it images.
JUDGED: Final = (LLAVA_BENCH, HOLISAFE_JUDGED)

_LESS: Final = " (less is better)"
# Of HoliSafe, by whether the image, the words, and both together are safe (S) or unsafe (U).
_HOLISAFE: Final = {
    "holisafe_avg_asr,none": f"attacks that succeed, mean of the four{_LESS}",
    "holisafe_asr_usu,none": f"unsafe image, safe words{_LESS}",
    "holisafe_asr_ssu,none": f"safe image, safe words, unsafe together{_LESS}",
    "holisafe_asr_suu,none": f"safe image, unsafe words{_LESS}",
    "holisafe_asr_uuu,none": f"unsafe image, unsafe words{_LESS}",
    "holisafe_rr,none": f"safe requests refused{_LESS}",
}
_SHARES: Final = {"acc,none": "accuracy, na dropped", "acc_na_wrong,none": "accuracy, na wrong"}
# The scores of each benchmark: by the name in the harness's results file, filter included, the title for the reader of a
# table, with the unit or the largest value, and where less is better.
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
    "holisafe": _HOLISAFE,
    HOLISAFE_JUDGED: _HOLISAFE,
    "safety_jailbreakbench_harmful": {
        "jailbreak_asr,none": f"attacks that succeed{_LESS}",
        "refusal_rate,none": "harmful requests refused",
    },
    "safety_jailbreakbench_benign": {"over_refusal_rate,none": f"harmless requests refused{_LESS}"},
    "glyphworld_capability": _SHARES,
    "glyphworld_perception": _SHARES,
    "glyphworld_text": _SHARES,
}

# Those that are compared by other metrics than the first of the task's own.
COMPARED: Final[Mapping[str, Sequence[str]]] = {"safety_jailbreakbench_harmful": ("jailbreak_asr", "refusal_rate")}
# Data that a user may not have: the repository, whether it is gated, and the tasks that it is asked by.
_DATA: Final = (
    ("etri-vilab/holisafe-bench", True, ("holisafe", HOLISAFE_JUDGED)),
    ("JailbreakBench/JBB-Behaviors", False, ("safety_jailbreakbench_harmful", "safety_jailbreakbench_benign")),
)


def harness_of(suite: Suite) -> Literal["lmms_eval", "lm_eval"]:
    """The harness that asks the suite's benchmarks."""
    return "lm_eval" if suite == "text" else "lmms_eval"


def benchmarks(suite: Suite, without: Collection[str] = ()) -> list[str]:
    """The tasks of ``suite``, in the order of its group, less those named in ``without``."""
    file = next(task_folder(harness_of(suite)).rglob(f"retention_{suite}.yaml"))
    tasks: list[str] = yaml.safe_load(file.read_text(encoding="utf-8"))["task"]
    return [task for task in tasks if task not in without]


def require_data(tasks: Collection[str]) -> None:
    """Find out, within seconds, whether the data of the suite ``safety`` can be had, which the harness asks for late.

    Raises:
        SourceError: They are gated and access is not granted, or neither the hub nor its cache has them.
    """
    from harness_ext.common.hub import hub_in_reach

    for repository, gated, of_it in _DATA:
        if asked := [task for task in of_it if task in tasks]:
            hub_in_reach(repository, f"Or leave them out: --without {','.join(asked)}", gated)
