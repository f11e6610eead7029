"""Two runs' scores of the same samples, summed by the unit that is independent of the others: a concept, an image, a sample.

A measure is a weighted sum of *terms*, each a ratio of sums over the units:

- an accuracy has one term, right answers over answers;
- the modality gap has two, the text-only accuracy and, with weight -1, the image accuracy;
- a score that is averaged over categories has one for each category, with weight 1 / categories.

The change is the measure after minus the measure before. Everything the comparison says (``resampling.py``, ``swaps.py``) is
computed from these sums alone.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness_ext.metrics.intervals import Array


@dataclass(frozen=True)
class Paired:
    """Sums by unit.

    Attributes:
        before: The first run's numerators and denominators, shape (units, terms, 2).
        after: The second run's, likewise; a unit is in the same place.
        weights: What each term counts for in the measure, shape (terms,).
        strata: The number of each unit's stratum, shape (units,): units are resampled within it. All 0 where there is one.
    """

    before: Array
    after: Array
    weights: Array
    strata: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for shapes that do not fit, numbers that are none, and a term without a denominator."""
        units, terms = self.before.shape[:2]
        shapes = (self.before.shape, self.after.shape, self.weights.shape, self.strata.shape)
        if shapes != ((units, terms, 2), (units, terms, 2), (terms,), (units,)):
            raise ValueError(f"expected sums of shape (units, terms, 2), twice, weights and strata; found {shapes}")
        for sums in (self.before, self.after):
            if not np.isfinite(sums).all() or (sums[:, :, 1].sum(axis=0) <= 0).any():
                raise ValueError("expected finite sums, and a positive denominator of every term")

    @property
    def units(self) -> int:
        """How many there are."""
        return len(self.before)

    @property
    def differing(self) -> NDArray[np.bool_]:
        """Which units are not the same in both runs, shape (units,)."""
        return (self.before != self.after).any(axis=(1, 2))

    @property
    def scale(self) -> float:
        """The most that the measure can change by where its ratios are shares."""
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
    """What each unit adds to the change, shape (units,); their sum is the change."""
    before, after = (sums[:, :, 0] / sums[:, :, 1].sum(axis=0) for sums in (paired.before, paired.after))
    change: Array = (after - before) @ paired.weights
    return change


def pair_scores(
    units: Sequence[Hashable],
    before: Sequence[float],
    after: Sequence[float],
    stratum_of: Sequence[Hashable] | None = None,
) -> Paired:
    """Scores of samples, averaged.

    Args:
        units: The unit of each sample.
        before: The first run's score of each sample.
        after: The second run's, in the same order.
        stratum_of: Where given, the stratum of each sample, which its unit must lie in: the measure is then the mean over
            strata of their means, else the mean over samples.
    """
    index_of, at = _numbered(units)
    strata, terms = np.zeros(len(index_of), dtype=np.int64), 1
    term_at = np.zeros(len(at), dtype=np.int64)
    if stratum_of is not None:
        names, term_at = _numbered(stratum_of)
        terms = len(names)
        strata[at] = term_at
        if (strata[at] != term_at).any():
            raise ValueError("expected every unit in one stratum")
    sums = []
    for scores in (before, after):
        cells, size = at * terms + term_at, len(index_of) * terms
        numerators = np.bincount(cells, weights=np.asarray(scores, dtype=float), minlength=size)
        denominators = np.bincount(cells, minlength=size).astype(float)
        sums.append(np.stack([numerators, denominators], axis=1).reshape(len(index_of), terms, 2))
    return Paired(sums[0], sums[1], np.full(terms, 1 / terms), strata)


def _numbered(names: Sequence[Hashable]) -> tuple[dict[Hashable, int], NDArray[np.int64]]:
    """Each name's number, by first appearance, and the number at each place."""
    number: dict[Hashable, int] = {}
    at = np.fromiter((number.setdefault(name, len(number)) for name in names), dtype=np.int64, count=len(names))
    return number, at
