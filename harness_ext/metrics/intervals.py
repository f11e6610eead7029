"""Intervals over the units that are independent of each other: concepts, not the answers about one concept.

One method for all of them. A draw weights the concepts at random (the Bayesian bootstrap; Rubin, Annals of Statistics 9,
1981) and adds one concept that was not seen, with a weight of its own: at the worst value for the interval's lower end, at
the best for its upper end. For a mean that is Gaffke's bound (Gaffke, Mathematical Methods of Statistics 14, 2005;
Learned-Miller and Thomas, arXiv 1905.06208; Phan, Thomas, Learned-Miller, ICML 2021). Where concepts weigh alike and
each is wholly right or wholly wrong it is the exact interval of Clopper and Pearson (Biometrika 26, 1934). So it does not
collapse where nothing was wrong, and one answer changes it by little. How often these intervals hold, by
``benchmarks/coverage.py``, and why not another method: results/coverage/README.md.

:func:`concept_interval` is that of one run's number, :func:`change_interval` that of a change between two runs.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from scipy.stats import beta, norm

from harness_ext.metrics.units import (
    NO_ESTIMATE,
    Array,
    Estimate,
    Interval,
    Paired,
    Ratio,
    contributions,
    measure,
    sums_by_unit,
)

CONFIDENCE: Final = 0.95
DRAWS: Final = 10_000
SEED: Final = 0
POWER: Final = 0.8
# Over fewer concepts there is no interval: the one by Clopper and Pearson would be wider than half of what is possible.
FEWEST: Final = 5
# How alike the differences of two sides are taken to be within a concept that was not seen. Measured: .11 for the answers
# that DPO lost, of the authors' published ones; simulated with .3, intervals by .3 held in 94 %, with tails up to 6 %.
CORRELATION: Final = 0.5
_ENDS: Final = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
_CHUNK_ELEMENTS: Final = 2_000_000
# Up to here each unit has a weight of its own, the same ones for all data; beyond, equal units share one draw of their sum.
_ONE_BY_ONE: Final = 2_000
_KEPT_ELEMENTS: Final = 4_000_000


# --- the method -------------------------------------------------------------------------------------------------------


def drawn_sums(rows: Array, draws: int = DRAWS, seed: int = SEED) -> Array:
    """Sums over randomly weighted units: from shape (units, columns) to (draws, columns).

    The weights are exponential variables; normalised they are uniform on all ways to weight the units.
    """
    units = len(rows)
    if units * draws <= _KEPT_ELEMENTS:
        kept: Array = _weights(units, draws, seed) @ rows
        return kept
    counts = None
    if units > _ONE_BY_ONE:
        rows, counts = np.unique(rows, axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    sums = np.empty((draws, rows.shape[1]))
    chunk = max(1, _CHUNK_ELEMENTS // len(rows))
    for start in range(0, draws, chunk):
        shape = min(chunk, draws - start), len(rows)
        weights = rng.standard_exponential(shape) if counts is None else rng.standard_gamma(counts, shape)
        sums[start : start + shape[0]] = weights @ rows
    return sums


@lru_cache(maxsize=8)
def _weights(units: int, draws: int, seed: int) -> Array:
    """The same for all data of so many units, so that intervals differ only as their data do."""
    return np.random.default_rng(seed).standard_exponential((draws, units))


def of_any_size(unseen: Array, sizes: Array) -> Array:
    """The same weights, of a concept that may be as large as any of those seen, shape (draws,); ``sizes`` by concept."""
    odds = unseen / (1 - unseen) * np.random.default_rng(SEED).permutation(np.resize(sizes / sizes.mean(), len(unseen)))
    found: Array = odds / (1 + odds)
    return found


@lru_cache(maxsize=32)
def unseen_weights(units: float, draws: int = DRAWS, seed: int = SEED) -> Array:
    """The weight of the concept that was not seen beside so many seen ones, shape (draws,)."""
    # Its quantiles in random order: what nothing wrong comes to is then exact.
    quantiles = beta(1, units).ppf((np.arange(draws) + 0.5) / draws)
    shuffled: Array = np.random.default_rng([seed, 1]).permutation(quantiles)
    return shuffled


def held(draws: Array, unseen: Array, extremes: Interval, value: float) -> Interval:
    """The 95 % interval of a statistic from its ``draws``, with the unseen concept at each of both ``extremes``."""
    low, high = (
        float(np.quantile(draws + unseen * (extreme - draws), end))
        for extreme, end in zip(extremes, _ENDS, strict=True)
    )
    return min(low, value), max(high, value)


def extremes_of_difference(seen: Array, answers: float) -> Interval:
    """What a concept that was not seen may make of a difference: as much as any seen one, and at least a certain share.

    Concepts about which n answers are alike by a correlation r carry as much as ``1 / (r + (1 - r) / n)`` answers each (Kish,
    "Survey Sampling", 1965, chapter 5). The least share is the inverse: so that, where nothing differs, the bound is the
    exact one over so many answers.

    Args:
        seen: The difference of each concept, shape (concepts,), -1 to 1.
        answers: About one concept, on average.
    """
    least = CORRELATION + (1 - CORRELATION) / answers
    return min(-least, float(seen.min())), max(least, float(seen.max()))


# --- one run's number -------------------------------------------------------------------------------------------------


def ratio(numerator: Any, denominator: Any) -> Any:
    """A pooled ratio, of sums."""
    return numerator / denominator


def difference_of_ratios(*sums: Any) -> Any:
    """First pooled ratio minus second, of the sums (numerator, denominator, numerator, denominator)."""
    return sums[0] / sums[1] - sums[2] / sums[3]


def concept_interval(
    of_sums: Callable[..., Any],
    arrays: Sequence[Array],
    extremes: Interval,
    seed: int = SEED,
    sizes: Array | None = None,
) -> Interval | None:
    """The 95 % interval of a statistic over concepts; a concept brings all its answers, on every side of a comparison.

    Args:
        of_sums: The statistic from the arrays' sums over concepts, vectorised.
        arrays: Arrays of shape (concepts,), paired by position.
        extremes: What one unseen concept would make of the statistic alone, at worst and at best.
        seed: Of the draws.
        sizes: How much each concept weighs in the statistic; alike where it is not given.

    Returns:
        (low, high), or ``None`` for fewer than five concepts, or where the statistic is not defined.
    """
    concepts = len(arrays[0])
    value = float(of_sums(*(each.sum() for each in arrays)))
    if concepts < FEWEST or np.isnan(value):
        return None
    draws = of_sums(*drawn_sums(np.stack(arrays, axis=1), seed=seed).T)
    unseen = unseen_weights(concepts, seed=seed)
    return held(draws, unseen if sizes is None else of_any_size(unseen, sizes), extremes, value)


def ratio_estimate(ratios: Iterable[Ratio], seed: int = SEED) -> Estimate:
    """The pooled ratio of concepts' ratios between 0 and 1 (no denominator is 0), with its interval; nan of none."""
    numerators, denominators = sums_by_unit(ratios)
    if not len(numerators):
        return NO_ESTIMATE
    interval = concept_interval(ratio, (numerators, denominators), (0.0, 1.0), seed, denominators)
    return Estimate.within(interval, numerators.sum() / denominators.sum(), len(numerators), int(denominators.sum()))


# --- a change between two runs ----------------------------------------------------------------------------------------


def smallest_difference(interval: Interval | None) -> float | None:
    """The smallest difference that the data could have shown, from the change's interval; ``None`` where it has none.

    If the true change were this large, an interval as wide as the one found would leave out zero in 80 % of evaluations
    (two-sided alpha 5 %, before any correction for several tests): (z of 97.5 % + z of 80 %) standard errors, where one is
    the interval's half width over z of 97.5 %. It is also the smallest margin against which an ability that did not change
    at all would be called retained in 80 % of evaluations. It rests on the spread seen, not on the change seen. Source:
    Bloom, Evaluation Review 19, 1995 ("minimum detectable effects").
    """
    if interval is None:
        return None
    z, z_power = norm.ppf((1 + CONFIDENCE) / 2), norm.ppf(POWER)
    low, high = interval
    return float((high - low) / 2 * (z + z_power) / z)


def drawn_changes(paired: Paired, draws: int = DRAWS, seed: int = SEED) -> Array:
    """The change of every draw, shape (draws,)."""
    terms = len(paired.weights)
    rows = np.concatenate([paired.before, paired.after], axis=1).reshape(paired.units, -1)
    sums = np.zeros((draws, 4 * terms))
    for stratum in np.unique(paired.strata):
        # A stratum's share of the whole is fixed: only what is within it is weighted.
        sums += drawn_sums(rows[paired.strata == stratum], draws, seed + int(stratum))
    both = sums.reshape(draws, 2, terms, 2)
    return measure(both[:, 1], paired.weights) - measure(both[:, 0], paired.weights)


def change_interval(paired: Paired, answers: float = 1.0, draws: int = DRAWS, seed: int = SEED) -> Interval | None:
    """The 95 % interval of the change; ``None`` for fewer than five units, or one in a stratum.

    A unit has both runs' scores, so that what is alike in both does not widen the interval. More lost answers never raise
    either end, up to 2,000 units.

    Args:
        paired: Both runs' scores.
        answers: How many answers a unit has, on average.
        draws: Of weights.
        seed: Of the draws.
    """
    if paired.units < FEWEST or np.bincount(paired.strata).min() < 2:
        return None
    units, parts = effective_units(paired), contributions(paired)
    of_term = paired.before[:, :, 1] / paired.before[:, :, 1].sum(axis=0)
    weights = of_term @ np.abs(paired.weights) / paired.scale
    # A unit of few answers says little about what others may lose: it counts as if it had as many as the average.
    seen = parts / paired.scale / np.maximum(weights, 1 / units)
    low, high = extremes_of_difference(seen, answers)
    extremes = paired.scale * low, paired.scale * high
    return held(drawn_changes(paired, draws, seed), unseen_weights(units, draws, seed), extremes, float(parts.sum()))


def effective_units(paired: Paired) -> float:
    """The number of units that would be as precise if all strata counted by their size; with one stratum, all units.

    Where small strata count as much as large ones, a unit of theirs that was not seen to change could have changed the
    measure by more. Kish, "Survey Sampling", 1965, chapter 11.7.
    """
    of_term = paired.before[:, :, 1] / paired.before[:, :, 1].sum(axis=0)
    weights = np.bincount(paired.strata, weights=of_term @ np.abs(paired.weights))
    return float(paired.scale**2 / (weights**2 / np.bincount(paired.strata)).sum())
