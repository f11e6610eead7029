"""The interval of a change, by resampling the units that are independent of each other.

The bootstrap: as many units as there are, drawn with replacement within their strata, each with all that both runs
scored of it; the change of every such draw; and from their distribution the percentile interval, with percentiles moved
outwards for the number of units (the "expanded percentile interval" of Hesterberg, The American Statistician 69, 2015:
over few units the plain one is too narrow, as a normal interval with a variance divided by n would be).

Resampling cannot know what it has not seen. So two intervals widen it, which know better where few units differ:

- for right and wrong answers that are units of their own, Tango's (``tango.py``), always;
- for other units where fewer than ten differ between the runs, Tango's over units, in which a unit counts as gained or lost
  by the share by which it is. Where nothing differs among n units it is about plus or minus 3.8 / (n + 3.8). Of strata
  that count for more than their size, n is less than the number of units.

How often a draw has each unit is all that matters, so equal units are drawn as one, and the sums of many draws are one
matrix product. Memory is bounded by the chunk, not by the number of draws.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness_ext.metrics.intervals import CONFIDENCE, RESAMPLES, SEED, Array, Interval
from harness_ext.metrics.paired import Paired, contributions, measure
from harness_ext.metrics.tango import tango

Whole = NDArray[np.signedinteger]

FEW_DIFFER: Final = 10
_CHUNK_ELEMENTS: Final = 2_000_000
# One draw of a multinomial costs about as much for a kind of unit as drawing this many units one by one.
_MULTINOMIAL_COST: Final = 8


def resampled_changes(paired: Paired, resamples: int = RESAMPLES, seed: int = SEED) -> Array:
    """The change of every resample, shape (resamples,)."""
    rng = np.random.default_rng(seed)
    terms = len(paired.weights)
    sums = np.zeros((resamples, 4 * terms))
    for stratum in np.unique(paired.strata):
        inside = paired.strata == stratum
        rows = np.concatenate([paired.before[inside], paired.after[inside]], axis=1).reshape(int(inside.sum()), -1)
        kinds, number_of, frequency = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
        sums += _drawn_sums(kinds, number_of.ravel(), frequency, resamples, rng)
    both = sums.reshape(resamples, 2, terms, 2)
    return measure(both[:, 1], paired.weights) - measure(both[:, 0], paired.weights)


def change_interval(paired: Paired, resamples: int = RESAMPLES, seed: int = SEED) -> Interval | None:
    """The 95 % interval of the change; ``None`` for fewer than two units in a stratum."""
    sizes = np.unique(paired.strata, return_counts=True)[1]
    if sizes.min() < 2:
        return None
    outside = _moved_level(paired.units, len(sizes))
    drawn = resampled_changes(paired, resamples, seed)
    low, high = np.quantile(drawn, [outside, 1 - outside])
    if is_right_or_wrong(paired) or paired.differing.sum() < FEW_DIFFER:
        units = _effective_units(paired)
        shares = contributions(paired) / paired.scale
        # Of shares of right answers all units together change by 1 at most; the ratio to a reference may by more.
        shares *= units / max(1.0, np.abs(shares).sum())
        widest = tango(float(shares[shares > 0].sum()), float(-shares[shares < 0].sum()), units)
        low, high = min(low, paired.scale * widest[0]), max(high, paired.scale * widest[1])
    return float(low), float(high)


def _effective_units(paired: Paired) -> float:
    """As many units as would say as much if all strata counted by their size (Kish, "Survey Sampling", 1965, chapter 11.7).

    All units where there is one stratum. Where small strata count as much as large ones, a unit of theirs that was not
    seen to change could have changed the measure by more.
    """
    of_term = paired.before[:, :, 1] / paired.before[:, :, 1].sum(axis=0)
    weight = of_term @ np.abs(paired.weights)
    sizes = np.bincount(paired.strata)
    weights = np.bincount(paired.strata, weights=weight)
    return float(paired.scale**2 / (weights[sizes > 0] ** 2 / sizes[sizes > 0]).sum())


def is_right_or_wrong(paired: Paired) -> bool:
    """Whether every unit is one answer, right or wrong."""
    both = np.concatenate([paired.before, paired.after])
    return both.shape[1] == 1 and bool((both[:, 0, 1] == 1).all()) and bool(np.isin(both[:, 0, 0], (0, 1)).all())


def _moved_level(units: int, strata: int) -> float:
    """The share of draws to leave out at each end."""
    from scipy.stats import norm, t

    free = units - strata
    quantile = t.ppf((1 + CONFIDENCE) / 2, free) * np.sqrt(units / free)
    return float(norm.sf(quantile))


def _drawn_sums(kinds: Array, number_of: Whole, frequency: Whole, resamples: int, rng: np.random.Generator) -> Array:
    """Sums of the rows of as many drawn units as there are, shape (resamples, columns).

    Args:
        kinds: The different rows that units have, shape (kinds, columns).
        number_of: Each unit's kind, shape (units,).
        frequency: How many units are of each kind.
        resamples: How many draws.
        rng: The source of randomness.
    """
    units, count = len(number_of), len(kinds)
    sums = np.empty((resamples, kinds.shape[1]))
    chunk = max(1, _CHUNK_ELEMENTS // units)
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        if count * _MULTINOMIAL_COST <= units:
            counts = rng.multinomial(units, frequency / units, size=size)
        else:
            drawn = number_of[rng.integers(units, size=(size, units), dtype=np.int32)]
            cells = drawn + count * np.arange(size)[:, None]
            counts = np.bincount(cells.ravel(), minlength=size * count).reshape(size, count)
        sums[start : start + size] = counts @ kinds
    return sums
