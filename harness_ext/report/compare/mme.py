"""MME's score: two questions an image, and full marks only for both.

An image is worth its accuracy plus, if both its answers are right, as much again; a category is the mean of its images, in
percent, so at most 200; the score is the sum over categories (Fu and others, arXiv 2306.13394). Here it is given as the share
of full marks, and images, which are what is independent, are resampled within their categories.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from harness_ext.common.errors import UserError
from harness_ext.metrics.units import pair_scores, values
from harness_ext.report.compare.answers import Answers, Key
from harness_ext.report.compare.measures import Measure

_FULL_MARKS: Final = 200
_QUESTIONS: Final = 2
_TOLERANCE: Final = 1e-6


def is_mme(value: Any) -> bool:
    """Whether this is what lmms-eval writes for an answer to MME."""
    return (
        isinstance(value, Mapping) and value.keys() == {"question_id", "category", "score"} and value["score"] in (0, 1)
    )


def mme_measure(
    first: Answers,
    metric: str,
    before: Mapping[Key, Mapping[str, Any]],
    after: Mapping[Key, Mapping[str, Any]],
    reported: tuple[float, float],
) -> Measure:
    """One of the two scores.

    Args:
        first: The first run's answers, for messages.
        metric: The score's name.
        before: The first run's scores by question.
        after: The other run's.
        reported: The scores in the two results files.

    Raises:
        UserError: An image has not two answers, or the score is not the one reported.
    """
    image_of = {key: (value["category"], value["question_id"]) for key, value in before.items()}
    if odd := [image for image, count in Counter(image_of.values()).items() if count != _QUESTIONS]:
        raise UserError(
            f"{first.path}: expected {_QUESTIONS} questions about image {odd[0][1]}, of which {metric} is made, found "
            "another number. Evaluate without --limit."
        )
    images = list(dict.fromkeys(image_of.values()))
    marks = []
    for scores in (before, after):
        right = Counter(image_of[key] for key, value in scores.items() if value["score"])
        marks.append([(right[image] / _QUESTIONS + (right[image] == _QUESTIONS)) / 2 for image in images])
    paired = pair_scores(images, marks[0], marks[1], [category for category, _ in images])
    for share, value in zip(values(paired), reported, strict=True):
        score = share * _FULL_MARKS * len(paired.weights)
        if abs(score - value) > _TOLERANCE * max(1.0, abs(value)):
            raise UserError(
                f"{first.path}: {metric} of the samples is {score:.6g}, a results file says {value:.6g}: "
                "they are not of one run. Evaluate again into an empty folder."
            )
    both = [value["score"] == 1 for value in before.values()], [after[key]["score"] == 1 for key in before]
    title = f"{first.task} ({metric}, share of full marks)"
    return Measure("benchmark", first.task, title, metric, True, "image", len(before), paired, both)
