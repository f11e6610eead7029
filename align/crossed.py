"""Intervals over seeds and concepts at once: both were drawn, and others would have given other figures.

A resample draws as many seeds and as many concepts as there are, each with replacement, and counts the answers about the
drawn concepts in the drawn seeds' runs (a crossed, or pigeonhole, bootstrap: Owen, "The pigeonhole bootstrap", Annals of
Applied Statistics 1, 2007; conservative). With one seed it resamples concepts alone. Over three seeds the spread between
seeds is known roughly at best, so the table gives the least and the largest seed too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness_ext.metrics.intervals import concept_interval, difference_of_ratios, ratio
from harness_ext.metrics.units import Interval

RESAMPLES: Final = 10_000
Array = NDArray[np.float64]


@dataclass(frozen=True)
class CrossedEstimate:
    """A share, or a difference of shares, over several seeds.

    Attributes:
        value: The share of all seeds' answers; every seed has as many, so this is the mean over seeds.
        low: Lower end of its 95 % interval.
        high: Upper end.
        seeds: Each seed's own value.
    """

    value: float
    low: float
    high: float
    seeds: tuple[float, ...]


def share(right: Array, asked: Array, seed: int = 0) -> CrossedEstimate:
    """The share of right answers.

    Args:
        right: Right answers by seed and concept, shape (seeds, concepts).
        asked: Answers that count, in the same shape.
        seed: Of the resampling.
    """
    found = _estimate(lambda s, c: _weighted(right, s, c) / _weighted(asked, s, c), right.shape, seed)
    counts = right.sum(0), asked.sum(0)
    return _over_concepts(found, ratio, counts, (counts[0] / counts[1],), (0.0, 1.0), seed)


def difference(first: tuple[Array, Array], second: tuple[Array, Array], seed: int = 0) -> CrossedEstimate:
    """The first share minus the second, of (right, asked) each over the same seeds and concepts."""

    def statistic(seeds: Array, concepts: Array) -> Array:
        one, other = (
            _weighted(right, seeds, concepts) / _weighted(asked, seeds, concepts) for right, asked in (first, second)
        )
        return one - other

    found = _estimate(statistic, first[0].shape, seed)
    counts = [each.sum(0) for each in (*first, *second)]
    shares = counts[0] / counts[1], counts[2] / counts[3]
    return _over_concepts(found, difference_of_ratios, counts, shares, (-1.0, 1.0), seed)


def _over_concepts(
    found: CrossedEstimate,
    statistic: Callable[..., Any],
    counts: Sequence[Array],
    shares: Sequence[Array],
    bounds: Interval,
    seed: int,
) -> CrossedEstimate:
    """``found``, with the harness's interval over concepts where there is one seed, or where no concept differs.

    Where no concept differs from another, every resample is the same; the harness's interval still says how many could.
    """
    if len(found.seeds) > 1 and found.high > found.low:
        return found
    interval = concept_interval(statistic, counts, shares, bounds, seed)
    return found if interval is None else replace(found, low=interval[0], high=interval[1])


def _weighted(counts: Array, seeds: Array, concepts: Array) -> Array:
    """Sums of ``counts`` (S, C) under weights (B, S) and (B, C); shape (B, S)."""
    result: Array = seeds * (concepts @ counts.T)
    return result.sum(axis=1)


def _estimate(statistic: Callable[[Array, Array], Array], shape: tuple[int, ...], seed: int) -> CrossedEstimate:
    rng = np.random.default_rng(seed)
    drawn = [rng.multinomial(size, np.full(size, 1 / size), size=RESAMPLES).astype(float) for size in shape]
    low, high = np.nanpercentile(statistic(*drawn), [2.5, 97.5])
    ones = np.ones((shape[0], shape[1]))
    each = statistic(np.eye(shape[0]), ones)
    value = float(statistic(np.ones((1, shape[0])), ones[:1])[0])
    return CrossedEstimate(value, float(low), float(high), tuple(float(one) for one in each))
