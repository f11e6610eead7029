"""Intervals over seeds and concepts at once: both were drawn, and other ones would have given other figures.

A resample draws as many seeds and as many concepts as there are, each with replacement, and counts the answers about the
drawn concepts in the drawn seeds' runs (a crossed, or pigeonhole, bootstrap: Owen, "The pigeonhole bootstrap", Annals of
Applied Statistics 1, 2007; conservative). With one seed it resamples concepts alone. Over three seeds the spread between
seeds is known roughly at best: the table gives the least and the largest seed too.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

RESAMPLES: Final = 10_000
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """A share over several seeds.

    Attributes:
        value: The mean over seeds.
        low: Lower end of its 95 % interval.
        high: Upper end.
        seeds: Each seed's own value.
    """

    value: float
    low: float
    high: float
    seeds: tuple[float, ...]


def share(right: Array, asked: Array, seed: int = 0) -> Figure:
    """The share of right answers.

    Args:
        right: Right answers by seed and concept, shape (seeds, concepts).
        asked: Answers that count, in the same shape.
        seed: Of the resampling.
    """
    return _figure(lambda s, c: _weighted(right, s, c) / _weighted(asked, s, c), right.shape, seed)


def difference(first: tuple[Array, Array], second: tuple[Array, Array], seed: int = 0) -> Figure:
    """The first share minus the second, of (right, asked) each over the same seeds and concepts."""

    def statistic(seeds: Array, concepts: Array) -> Array:
        one, other = (
            _weighted(right, seeds, concepts) / _weighted(asked, seeds, concepts) for right, asked in (first, second)
        )
        return one - other

    return _figure(statistic, first[0].shape, seed)


def _weighted(counts: Array, seeds: Array, concepts: Array) -> Array:
    """Sums of ``counts`` (S, C) under weights (B, S) and (B, C); shape (B, S)."""
    result: Array = seeds * (concepts @ counts.T)
    return result.sum(axis=1)


def _figure(statistic: object, shape: tuple[int, ...], seed: int) -> Figure:
    assert callable(statistic)
    rng = np.random.default_rng(seed)
    drawn = [rng.multinomial(size, np.full(size, 1 / size), size=RESAMPLES).astype(float) for size in shape]
    low, high = np.nanpercentile(statistic(*drawn), [2.5, 97.5])
    ones = np.ones((shape[0], shape[1]))
    each = statistic(np.eye(shape[0]), ones)
    value = float(statistic(np.ones((1, shape[0])), ones[:1])[0])
    return Figure(value, float(low), float(high), tuple(float(one) for one in each))
