"""Is the change more than chance? If the runs were alike, which of them gave a unit's answers would not matter.

So the two runs' answers are swapped, unit by unit, in all possible ways, and the p-value is the share of ways in which the
change is as large as the one found, or larger, to either side (the permutation test for pairs; Fisher, "The Design of
Experiments", 1935, chapter 3). A unit, such as a concept, is swapped whole: its answers need not be independent.

Where every unit is one answer, right or wrong, this is McNemar's exact test. For right and wrong answers in units of
several it is exact too: the change is then a whole number of answers, and the ways to reach each are counted. For other
scores, up to 13 units that differ are swapped in all ways, and more of them in 9,999 random ways, where the way found
counts as one, so that p is never below 0.0001 (Phipson and Smyth, Statistical Applications in Genetics and Molecular
Biology 9, 2010).
"""

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from harness_ext.metrics.intervals import SEED, Array
from harness_ext.metrics.paired import Paired, measure

Way = Literal["counted", "all swaps", "random swaps"]

RANDOM_SWAPS: Final = 9_999
_ALL_SWAPS_UNITS: Final = 13
_CHUNK_ELEMENTS: Final = 4_000_000
# Two ways to the same change may be rounded differently.
_TIE: Final = 1e-12


def swap_test(paired: Paired, seed: int = SEED) -> tuple[float, Way]:
    """The two-sided p-value, and how it was computed."""
    # Swapping what is the same changes nothing.
    differing = paired.differing
    before, after = paired.before[differing], paired.after[differing]
    if not len(before):
        return 1.0, "counted"
    counts = after[:, 0, 0] - before[:, 0, 0]
    same_denominators = (after[:, :, 1] == before[:, :, 1]).all()
    if len(paired.weights) == 1 and same_denominators and (counts == np.round(counts)).all():
        return _counted(counts.astype(np.int64)), "counted"

    rest = paired.before[~differing].sum(axis=0)
    base_before, base_after = rest + before.sum(axis=0), rest + after.sum(axis=0)
    found = _change(base_before, base_after, paired.weights)
    step = (after - before).reshape(len(before), -1)

    def as_large(swapped: Array) -> int:
        """How many of these ways, rows of zeros and ones by unit, change the measure as much as was found."""
        moved = (swapped @ step).reshape(len(swapped), *base_before.shape)
        changes = _change(base_before + moved, base_after - moved, paired.weights)
        return int((np.abs(changes) >= np.abs(found) - _TIE * paired.scale).sum())

    if len(before) <= _ALL_SWAPS_UNITS:
        ways = 2 ** len(before)
        bits = (np.arange(ways)[:, None] >> np.arange(len(before))) & 1
        return as_large(bits.astype(float)) / ways, "all swaps"
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_ELEMENTS // len(before))
    hits = 1
    for start in range(0, RANDOM_SWAPS, chunk):
        size = min(chunk, RANDOM_SWAPS - start)
        hits += as_large(rng.integers(2, size=(size, len(before)), dtype=np.int8).astype(float))
    return hits / (RANDOM_SWAPS + 1), "random swaps"


def _change(before: Array, after: Array, weights: Array) -> Array:
    return measure(after, weights) - measure(before, weights)


def _counted(differences: NDArray[np.int64]) -> float:
    """The p-value of the sum of whole numbers whose signs are coins; exact to about 1e-15.

    The sum is twice what falls to the positive side, less everything: so count the ways in which each amount falls there.
    Units that differ by as much are a binomial of steps that long.
    """
    from scipy.signal import convolve
    from scipy.stats import binom

    lengths, frequency = np.unique(np.abs(differences), return_counts=True)
    chances = np.ones(1)
    for length, units in zip(lengths, frequency, strict=True):
        steps = np.zeros(length * units + 1)
        steps[::length] = binom.pmf(np.arange(units + 1), units, 0.5)
        chances = convolve(chances, steps)
    total = len(chances) - 1
    sums = np.abs(2 * np.arange(total + 1) - total)
    p = float(chances[sums >= abs(int(differences.sum()))].sum())
    # A convolution by Fourier transform may round a chance of nothing below it; the way found is one of them all.
    return min(1.0, max(p, 2.0 ** (1 - min(1000, len(differences)))))
