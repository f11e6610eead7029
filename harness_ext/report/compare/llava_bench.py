"""LLaVA-Bench's score: what a judge gives the model's answers, over what it gives the reference answers beside them.

It is a ratio of two means (Liu and others, arXiv 2304.08485), and both are the judge's, so both differ between runs.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from harness_ext.common.errors import UserError
from harness_ext.metrics.units import Paired, values
from harness_ext.report.compare.answers import Answers, Key
from harness_ext.report.compare.measures import Measure

# lmms-eval marks the answers that a category's score is not about.
_NOT_ASKED: Final = -999
# It rounds the means to three decimals and their ratio, in percent, to one.
_TOLERANCE: Final = 0.16


def is_llava_bench(value: Any) -> bool:
    """Whether this is what lmms-eval writes for a judged answer."""
    return isinstance(value, Mapping) and {"scores", "eval_model"} <= value.keys() and len(value["scores"]) == 2


def llava_bench_measure(
    first: Answers,
    other: Answers,
    metric: str,
    before: Mapping[Key, Mapping[str, Any]],
    after: Mapping[Key, Mapping[str, Any]],
    reported: tuple[float, float],
) -> Measure:
    """The score of all questions, or of a category.

    Args:
        first: The first run's answers, for messages.
        other: The other run's.
        metric: The score's name.
        before: The first run's judged answers by question.
        after: The other run's.
        reported: The scores in the two results files, in percent.

    Raises:
        UserError: A request to the judge failed, the judges are not the same, or the score is not the one reported.
    """
    keys = [key for key, value in before.items() if _NOT_ASKED not in value["scores"]]
    for answers, judged in ((first, before), (other, after)):
        if failed := [key for key in keys if min(judged[key]["scores"]) < 0]:
            raise UserError(
                f"{answers.path}: {len(failed)} requests to the judge failed, the first one about document {failed[0][0]}. "
                "Evaluate again, or leave the task out with --task."
            )
    judges = [sorted({str(judged[key]["eval_model"]) for key in keys}) for judged in (before, after)]
    if judges[0] != judges[1]:
        raise UserError(
            f"{other.path} cannot be compared with {first.path}: judged by {', '.join(judges[1])}, the first run by "
            f"{', '.join(judges[0])}. Evaluate both with one judge, or leave the task out with --task."
        )
    # The judge's two scores are the reference answer's, then the model's.
    sums = [np.array([[judged[key]["scores"][::-1]] for key in keys], dtype=float) for judged in (before, after)]
    paired = Paired(sums[0], sums[1], np.ones(1), np.zeros(len(keys), dtype=np.int64))
    for ratio, value in zip(values(paired), reported, strict=True):
        if abs(100 * ratio - value) > _TOLERANCE:
            raise UserError(
                f"{first.path}: {metric} of the samples is {100 * ratio:.1f}, a results file says {value:.1f}: they are not "
                "of one run. Evaluate again into an empty folder."
            )
    title = f"{first.task} ({metric}, ratio to the reference answers)"
    return Measure("benchmark", first.task, title, metric, True, "sample", len(keys), paired, None)
