"""What answers are like beside right or wrong: ratings from 1 to 5, and measures that need no judge."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any, Final

import numpy as np

from harness_ext.metrics.agreement import kappa_estimate
from harness_ext.metrics.intervals import ratio_estimate
from harness_ext.metrics.units import NO_ESTIMATE, ConceptKey, Estimate, Ratio, ratio_by_unit
from harness_ext.records import is_known

LOWEST: Final = 1
HIGHEST: Final = 5

# The concept of an answer, and its rating.
Ratings = Iterable[tuple[ConceptKey, int]]
# The concept of an answer, and its text.
Answers = Sequence[tuple[ConceptKey, str]]


# --- ratings ----------------------------------------------------------------------------------------------------------


def rating_shares(ratings: Ratings) -> dict[ConceptKey, Ratio]:
    """Each concept's mean rating as a share: 0 for 1, the lowest, 1 for 5; concepts in the order of their names."""
    return ratio_by_unit((unit, (rating - LOWEST) / (HIGHEST - LOWEST)) for unit, rating in sorted(ratings))


def as_ratings(share: float) -> float:
    """A share as :func:`rating_shares` has it, from 1 to 5 again."""
    return LOWEST + (HIGHEST - LOWEST) * share


def mean_rating(ratings: Ratings) -> Estimate:
    """The mean of ratings from 1 to 5, with an interval over concepts; nan without ratings."""
    found = ratio_estimate(rating_shares(ratings).values())
    low, high = (None if end is None else as_ratings(end) for end in (found.low, found.high))
    return replace(found, value=as_ratings(found.value), low=low, high=high)


def weighted_kappa(pairs: Sequence[tuple[ConceptKey, int, int]]) -> Estimate:
    """Cohen's kappa with quadratic weights of two raters' ratings, with an interval over concepts.

    A disagreement counts by its square: 1 and 5 are sixteen times as far apart as 4 and 5 (Cohen, Psychological Bulletin 70,
    1968). It is nan where it is not defined (no pairs, or one and the same rating only).

    Args:
        pairs: The concept of each answer, and both ratings of it.
    """
    if not pairs:
        return NO_ESTIMATE
    concepts = {key: position for position, key in enumerate(sorted({unit for unit, _, _ in pairs}))}
    sums = np.zeros((5, len(concepts)))
    for unit, one, other in pairs:
        sums[:, concepts[unit]] += (1, one, other, one**2 + other**2, (one - other) ** 2)
    return kappa_estimate(_kappa_of, list(sums), len(pairs))


def _kappa_of(*sums: Any) -> Any:
    """1 minus the mean squared difference over the one by chance, E[x² + y²] - 2 E[x] E[y] of independent ratings x and y.

    Args:
        sums: Answers, both sums of ratings, the sum of squares, and that of squared differences.
    """
    count, one, other, squares, differences = sums
    # In whole numbers, so that one and the same rating gives 0 without rounding.
    by_chance = squares * count - 2 * one * other
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(by_chance > 0, 1 - differences * count / by_chance, nan)


# --- without a judge --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Likeness:
    """What the answers to one task are like.

    Attributes:
        distinct: The share of different texts among them; it falls with their number, so only equal numbers compare.
        names: The share that names what is shown, with an interval over concepts; ``None`` where no concept is shown.
        words: The mean number of words.
        answers: How many there are; requests that failed are left out.
    """

    distinct: float
    names: Estimate | None
    words: float
    answers: int


def likeness(said: Answers, names: Callable[[str, str], bool] | None) -> Likeness:
    """What answers, at least one, are like; ``names`` says whether a text names a concept, ``None`` where none is shown."""
    texts = [text for _, text in said]
    named = None if names is None else ratio_estimate(named_shares(said, names).values())
    return Likeness(distinct_share(texts), named, sum(len(text.split()) for text in texts) / len(texts), len(texts))


def distinct_share(texts: Sequence[str]) -> float:
    """The share of different texts, whatever their white space."""
    return len({" ".join(text.split()) for text in texts}) / len(texts)


def named_shares(said: Answers, names: Callable[[str, str], bool]) -> dict[ConceptKey, Ratio]:
    """By concept, in the order of their names, the share of answers that name it; without images of unknown concepts."""
    return ratio_by_unit(sorted((unit, names(text, unit[1])) for unit, text in said if is_known(unit[1])))
