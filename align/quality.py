"""What the answers about images are like, over seeds and concepts: distinct, naming what is shown, and as they are rated."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from align.crossed import CrossedEstimate, share
from harness_ext.judges.rules.shown import names
from harness_ext.metrics.quality import as_ratings, distinct_share, named_shares, rating_shares
from harness_ext.metrics.units import ConceptKey, Ratio, sums_by_unit
from harness_ext.report.quality import texts
from harness_ext.runs.evaluations import Evaluation
from harness_ext.runs.ratings import CRITERIA, Ratings, read_ratings

# A rater's name, and the digest of the rubric.
Rater = tuple[str, str]


@dataclass(frozen=True)
class AnswersAboutImages:
    """The concept and the text of each answer of one evaluation, and its ratings by rater."""

    said: Sequence[tuple[ConceptKey, str]]
    ratings: Mapping[Rater, Ratings]


def read_answers_about_images(evaluation: Evaluation, task: str) -> AnswersAboutImages:
    """The answers to a task, and the ratings that lie beside them."""
    ratings = {(each.head.rater, each.head.rubric_sha256): each for each in read_ratings(evaluation.samples(task))}
    return AnswersAboutImages(texts(evaluation, task), ratings)


def common_raters(evaluated: Iterable[AnswersAboutImages]) -> list[Rater]:
    """The raters who rated every evaluation."""
    rated = [set(each.ratings) for each in evaluated]
    return sorted(set.intersection(*rated)) if rated else []


def quality_figures(
    evaluated: Sequence[AnswersAboutImages], raters: Sequence[Rater]
) -> dict[str, CrossedEstimate | float | None]:
    """The figures of one method, evaluated once a seed, by their headings; ``raters`` rated all of it."""
    shares = [distinct_share([text for _, text in each.said]) for each in evaluated]
    figures: dict[str, CrossedEstimate | float | None] = {
        "distinct answers": sum(shares) / len(shares),
        "names what is shown": _over_seeds([named_shares(each.said, names) for each in evaluated]),
    }
    for rater in raters:
        for criterion in CRITERIA:
            found = _over_seeds([rating_shares(each.ratings[rater].by(criterion)) for each in evaluated])
            figures[f"{criterion} from 1 to 5, by {rater[0]}"] = found and _as_ratings(found)
    return figures


def _over_seeds(seeds: Sequence[Mapping[ConceptKey, Ratio]]) -> CrossedEstimate | None:
    """The share over the concepts that every seed has answers about; ``None`` where there is none."""
    common = [concept for concept in seeds[0] if all(concept in each for each in seeds)]
    if not common:
        return None
    sums = [sums_by_unit([each[concept] for concept in common]) for each in seeds]
    return share(np.array([right for right, _ in sums]), np.array([asked for _, asked in sums]))


def _as_ratings(found: CrossedEstimate) -> CrossedEstimate:
    low, high = (None if end is None else as_ratings(end) for end in (found.low, found.high))
    return CrossedEstimate(as_ratings(found.value), low, high, tuple(map(as_ratings, found.seeds)))
