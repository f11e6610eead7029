"""Is the change between two runs more than chance (:func:`swap_test`), and was an ability kept (:func:`retention`)?"""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import convolve
from scipy.stats import binom, binomtest

from harness_ext.metrics.intervals import SEED
from harness_ext.metrics.units import Array, Paired, measure
from harness_ext.records import DEGRADED, RETAINED, UNDECIDED, Retention

Counting = Literal["counted", "all swaps", "random swaps"]

RANDOM_SWAPS: Final = 9_999
_ALL_SWAPS_UNITS: Final = 13
_CHUNK_ELEMENTS: Final = 4_000_000
# Two ways to the same change may be rounded differently.
_TIE: Final = 1e-12


def swap_test(paired: Paired, seed: int = SEED) -> tuple[float, Counting]:
    """The two-sided p-value of the change, and how it was computed.

    If the runs were alike, it would not matter which of them gave a unit's answers. So the answers are swapped, unit by
    unit, in all possible ways; p is the share of ways in which the change is at least as large as the one found, to either
    side (the permutation test for pairs; Fisher, "The Design of Experiments", 1935, chapter 3). A unit, such as a concept,
    is swapped whole: its answers need not be independent.

    For right and wrong answers the ways to reach each change are counted, which is exact; where every unit is one answer,
    this is McNemar's exact test. For other scores, up to 13 units that differ are swapped in all ways, and more of them in
    9,999 random ways, where the way found counts as one, so that p is never below 0.0001 (Phipson and Smyth, Statistical
    Applications in Genetics and Molecular Biology 9, 2010).
    """
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

    The sum is twice the amount on the positive side minus the total. Units that differ by the same length are a binomial of
    steps of that length.
    """
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


def mcnemar(gained: int, lost: int) -> float:
    """The two-sided p-value of McNemar's exact test: are two models equally often right on the same questions?

    If they were, each question that only one of them has right would fall to either side as a coin does (McNemar,
    Psychometrika 12, 1947; exact form: Mosteller, Biometrics 8, 1952). Every question counts as an observation of its own.
    If several questions are about one concept, use :func:`swap_test`.

    ``gained`` questions were wrong before and are right after, ``lost`` ones the reverse. Raises ``ValueError`` if a count is
    negative.
    """
    if min(gained, lost) < 0:
        raise ValueError(f"expected counts of questions, found {gained} gained and {lost} lost")
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction for several tests: the adjusted p-values, in the order given.

    At most an ``alpha`` chance remains that any of the tests called significant is a false alarm. The tests may depend on
    each other in any way (Holm, Scandinavian Journal of Statistics 6, 1979). Raises ``ValueError`` if one is no probability.
    """
    if wrong := [p for p in p_values if not 0 <= p <= 1]:
        raise ValueError(f"expected p-values between 0 and 1, found {wrong[0]}")
    order = np.argsort(p_values, kind="stable")
    multiplied = np.array(p_values)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(multiplied), 1.0)
    return adjusted.tolist()


def retention(low: float | None, high: float | None, margin: float, higher_is_better: bool = True) -> Retention:
    """Whether an ability was kept, from the 95 % interval of its change against a margin, the loss accepted beforehand.

    "No significant difference" is not enough: too little data always give that. With a gain being positive:

    - ``retained``: the whole interval lies above -margin: a loss as large as the margin is ruled out (non-inferiority);
    - ``degraded``: the whole interval lies below -margin: the loss is larger than the margin;
    - ``undecided``: the interval holds -margin, or touches it, or there is no interval.

    Each is a one-sided test at 2.5 %. An ability can be retained and still have changed for the worse, by less than the
    margin. Source: Piaggio and others, "Reporting of noninferiority and equivalence randomized trials", JAMA 308, 2012.
    Raises ``ValueError`` if the margin is not positive, or the interval is the wrong way round.
    """
    if not margin > 0:
        raise ValueError(f"expected a margin above 0, found {margin}")
    if low is None or high is None:
        return UNDECIDED
    if low > high:
        raise ValueError(f"expected an interval, found [{low}, {high}]")
    worst, best = (low, high) if higher_is_better else (-high, -low)
    if worst > -margin:
        return RETAINED
    return DEGRADED if best < -margin else UNDECIDED
