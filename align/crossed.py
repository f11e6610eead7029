"""Intervals over seeds and concepts at once: both were drawn, and others would have given other figures.

A resample draws as many seeds and as many concepts as there are, each with replacement, and counts the answers about the
drawn concepts in the drawn seeds' runs (a crossed, or pigeonhole, bootstrap: Owen, "The pigeonhole bootstrap", Annals of
Applied Statistics 1, 2007; conservative). With one seed it resamples concepts alone. Over three seeds the spread between
seeds is known roughly at best, so the table gives the least and the largest seed too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from harness_ext.metrics.intervals import concept_interval, difference_of_ratios, ratio
from harness_ext.metrics.units import Array, Interval

RESAMPLES: Final = 10_000


@dataclass(frozen=True)
class CrossedEstimate:
    """A share, or a difference of shares, over several seeds, with its 95 % interval and each seed's own value.

    Every seed has as many answers, so ``value`` is both the share of all seeds' answers and the mean over seeds.
    """

    value: float
    low: float
    high: float
    seeds: tuple[float, ...]


def share(right: Array, asked: Array) -> CrossedEstimate:
    """The share of right answers, from right answers and answers that count, each of shape (seeds, concepts)."""
    return _estimate([(right, asked)], ratio, (0.0, 1.0))


def difference(first: tuple[Array, Array], second: tuple[Array, Array]) -> CrossedEstimate:
    """The first share minus the second, of (right, asked) each over the same seeds and concepts."""
    return _estimate([first, second], difference_of_ratios, (-1.0, 1.0))


def _estimate(
    sides: Sequence[tuple[Array, Array]], over_concepts: Callable[..., Any], bounds: Interval
) -> CrossedEstimate:
    """The first side's share, minus the second's where there is one; ``over_concepts`` is the same from sums over seeds."""

    def value(seeds: Array, concepts: Array) -> Array:
        """Under weights (resamples, seeds) and (resamples, concepts); shape (resamples,)."""
        result: Array = over_concepts(*(seeds * (concepts @ counts.T) for side in sides for counts in side))
        return result

    shape = sides[0][0].shape
    rng = np.random.default_rng(0)
    drawn = [rng.multinomial(size, np.full(size, 1 / size), size=RESAMPLES).astype(float) for size in shape]
    low, high = np.nanpercentile(value(*drawn), [2.5, 97.5])
    if shape[0] == 1 or not high > low:
        # Where no concept differs from another, every resample is the same; the harness's interval still says how many could.
        sums = [counts.sum(0) for side in sides for counts in side]
        shares = [right / asked for right, asked in zip(sums[::2], sums[1::2], strict=True)]
        low, high = concept_interval(over_concepts, sums, shares, bounds) or (low, high)
    ones = np.ones(shape)
    each = value(np.eye(shape[0]), ones)
    whole = value(np.ones((1, shape[0])), ones[:1])[0]
    return CrossedEstimate(float(whole), float(low), float(high), tuple(map(float, each)))
