"""The units that are independent of each other, such as concepts, and sums over them.

:class:`Ratio` and :class:`Estimate` are numbers of one run, :class:`Paired` is two runs' scores of the same samples. A
concept's label and name identify it together: a safe and an unsafe concept of one name stay two.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from math import fsum, nan
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness_ext.records import Judgement, Label

Array = NDArray[np.float64]
Interval = tuple[float, float]
ConceptKey = tuple[Label, str]
Key = TypeVar("Key", bound=Hashable)


# --- answers by unit --------------------------------------------------------------------------------------------------


def concept_key(record: Judgement) -> ConceptKey:
    """What names a record's concept: ``(label, name)``."""
    return record.label, record.concept


def group_by(records: Iterable[Judgement], key: Callable[[Judgement], Key]) -> dict[Key, list[Judgement]]:
    """The records of each key, keys in order of first appearance; a key without records is absent, never a zero."""
    groups: dict[Key, list[Judgement]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


def by_label(records: Iterable[Judgement]) -> dict[Label, list[Judgement]]:
    """The records of the unsafe and of the safe concepts."""
    return group_by(records, lambda record: record.label)


def numbered(names: Sequence[Hashable]) -> tuple[NDArray[np.int64], int]:
    """The number of the name at each place, by first appearance, and how many different names there are."""
    number: dict[Hashable, int] = {}
    at = np.fromiter((number.setdefault(name, len(number)) for name in names), dtype=np.int64, count=len(names))
    return at, len(number)


# --- one run's number -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ratio:
    """A sum of scores over the number of answers, for instance right answers over answers that count."""

    numerator: float
    denominator: int

    @property
    def value(self) -> float:
        """The ratio; nan when no answer counts."""
        return self.numerator / self.denominator if self.denominator else nan


def ratio_by_unit(scores: Iterable[tuple[Key, float]]) -> dict[Key, Ratio]:
    """The ratio of each unit, from (unit, score) of each answer; units in order of first appearance."""
    groups: dict[Key, list[float]] = {}
    for unit, score in scores:
        groups.setdefault(unit, []).append(score)
    return {unit: Ratio(fsum(found), len(found)) for unit, found in groups.items()}


def sums_by_unit(ratios: Iterable[Ratio]) -> tuple[Array, Array]:
    """Numerators and denominators, each of shape (units,)."""
    found = list(ratios)
    return np.array([each.numerator for each in found], float), np.array([each.denominator for each in found], float)


@dataclass(frozen=True)
class Estimate:
    """A metric's value and its 95 % interval.

    Attributes:
        value: The metric; nan when no answer counts.
        low: Lower end of the interval, or ``None`` when there is none (fewer than five concepts).
        high: Upper end, or ``None``.
        n_concepts: The number of concepts with at least one answer that counts; the interval weights these.
        n_answers: The number of answers in the metric's denominators.
    """

    value: float
    low: float | None
    high: float | None
    n_concepts: int
    n_answers: int

    @classmethod
    def within(cls, interval: Interval | None, value: float, n_concepts: int, n_answers: int) -> "Estimate":
        """A value with its interval, if it has one."""
        low, high = interval or (None, None)
        return cls(float(value), low, high, n_concepts, n_answers)


NO_ESTIMATE: Final = Estimate(nan, None, None, 0, 0)


# --- two runs' numbers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Paired:
    """Two runs' scores of the same samples, summed by unit.

    A measure is a weighted sum of *terms*, each a ratio of sums over the units. An accuracy has one term. The modality gap
    has two: the text-only accuracy and, with weight -1, the image accuracy. A score that is averaged over categories has
    one term for each, with weight 1 / categories. The change is the measure after minus the measure before.

    Attributes:
        before: The first run's numerators and denominators, shape (units, terms, 2).
        after: The second run's, likewise; a unit is in the same place.
        weights: The weight of each term in the measure, shape (terms,).
        strata: The number of each unit's stratum, from 0, shape (units,): units are weighted within it.
    """

    before: Array
    after: Array
    weights: Array
    strata: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for shapes that do not fit, sums that are not finite, and a term without a denominator."""
        units, terms = self.before.shape[:2]
        shapes = (self.before.shape, self.after.shape, self.weights.shape, self.strata.shape)
        if shapes != ((units, terms, 2), (units, terms, 2), (terms,), (units,)):
            raise ValueError(f"expected sums of shape (units, terms, 2), twice, weights and strata; found {shapes}")
        for sums in (self.before, self.after):
            if not np.isfinite(sums).all() or (sums[:, :, 1].sum(axis=0) <= 0).any():
                raise ValueError("expected finite sums, and a positive denominator of every term")

    @property
    def units(self) -> int:
        """The number of units."""
        return len(self.before)

    @property
    def differing(self) -> NDArray[np.bool_]:
        """Which units are not the same in both runs, shape (units,)."""
        return (self.before != self.after).any(axis=(1, 2))

    @property
    def scale(self) -> float:
        """The largest possible change of a measure whose ratios are shares."""
        return float(np.abs(self.weights).sum())


def measure(sums: Array, weights: Array) -> Array:
    """The measure of sums of numerators and denominators, shape (..., terms, 2), over the leading axes."""
    value: Array = (sums[..., 0] / sums[..., 1]) @ weights
    return value


def values(paired: Paired) -> tuple[float, float]:
    """The measure before, and after."""
    before, after = (float(measure(sums.sum(axis=0), paired.weights)) for sums in (paired.before, paired.after))
    return before, after


def contributions(paired: Paired) -> Array:
    """Each unit's part of the change, shape (units,); their sum is the change."""
    before, after = (sums[:, :, 0] / sums[:, :, 1].sum(axis=0) for sums in (paired.before, paired.after))
    change: Array = (after - before) @ paired.weights
    return change


def pair_sums(before: Array, after: Array) -> Paired:
    """Two runs' ratios of sums, from each unit's numerator and denominator in both, each of shape (units, 2)."""
    return Paired(before[:, None], after[:, None], np.ones(1), np.zeros(len(before), dtype=np.int64))


def pair_scores(
    units: Sequence[Hashable],
    before: Sequence[float],
    after: Sequence[float],
    stratum_of: Sequence[Hashable] | None = None,
) -> Paired:
    """Two runs' scores of the same samples, averaged.

    Args:
        units: The unit of each sample.
        before: The first run's score of each sample.
        after: The second run's, in the same order.
        stratum_of: The stratum of each sample; the measure is then the mean over strata of their means. Without it, the
            measure is the mean over samples.

    Raises:
        ValueError: If a unit lies in two strata.
    """
    unit_at, n_units = numbered(units)
    term_at, terms = numbered(stratum_of or [None] * len(units))
    strata = np.zeros(n_units, dtype=np.int64)
    strata[unit_at] = term_at
    if (strata[unit_at] != term_at).any():
        raise ValueError("expected every unit in one stratum")
    cells, size = unit_at * terms + term_at, n_units * terms
    denominators = np.bincount(cells, minlength=size).astype(float)
    sums = []
    for scores in (before, after):
        numerators = np.bincount(cells, weights=np.asarray(scores, dtype=float), minlength=size)
        sums.append(np.stack([numerators, denominators], axis=1).reshape(n_units, terms, 2))
    return Paired(sums[0], sums[1], np.full(terms, 1 / terms), strata)
