"""How far two readers of the same answers give the same verdict: the share of equal ones, and Cohen's kappa.

Kappa (Educational and Psychological Measurement 20, 1960) takes out what two readers with these shares of verdicts would
agree on by chance. Where nearly all verdicts are the same one, it is small or undefined although they agree: read both.
"""

import warnings
from collections.abc import Sequence
from math import isnan, nan
from typing import Any

import numpy as np

from harness_ext.metrics.accuracy import Count, estimate_from_counts
from harness_ext.metrics.estimate import Estimate
from harness_ext.metrics.grouping import ConceptKey, concept_key
from harness_ext.metrics.intervals import SEED, Array, concept_interval
from harness_ext.metrics.records import Judgement

Pairs = Sequence[tuple[Judgement, Judgement]]


def equal_share(pairs: Pairs, seed: int = SEED) -> Estimate:
    """The share of pairs with the same verdict, with an interval over concepts; nan without pairs."""
    counts: dict[ConceptKey, Count] = {}
    for one, other in pairs:
        before = counts.get(concept_key(one), Count(0, 0))
        counts[concept_key(one)] = Count(before.correct + (one.verdict == other.verdict), before.total + 1)
    return estimate_from_counts(list(counts.values()), seed)


def cohens_kappa(pairs: Pairs, seed: int = SEED) -> Estimate:
    """Kappa of the pairs' verdicts, with an interval over concepts.

    It is nan where it is not defined (no pairs, or one verdict is all that either side gives), and without an interval where
    some resamples have none.
    """
    from scipy.stats import DegenerateDataWarning

    verdicts = sorted({record.verdict for pair in pairs for record in pair})
    concepts = {key: position for position, key in enumerate(dict.fromkeys(concept_key(one) for one, _ in pairs))}
    if not pairs:
        return Estimate(nan, None, None, 0, 0)
    # Pairs by both verdicts and by concept, shape (verdicts, verdicts, concepts).
    tables = np.zeros((len(verdicts), len(verdicts), len(concepts)))
    for one, other in pairs:
        tables[verdicts.index(one.verdict), verdicts.index(other.verdict), concepts[concept_key(one)]] += 1
    cells = list(tables.reshape(-1, len(concepts)))
    # Without any disagreement every resample's kappa is 1, however the concepts differ.
    differ = tables.sum(axis=(0, 1)) - np.trace(tables)
    value = float(_kappa_of(*cells))
    interval = None
    if not isnan(value):
        with warnings.catch_warnings():
            # Where a resample has no kappa scipy warns and gives nan, which is told here by there being no interval.
            warnings.simplefilter("ignore", DegenerateDataWarning)
            interval = concept_interval(_kappa_of, cells, cells if differ.any() else (differ,), (-1.0, 1.0), seed)
    low, high = interval if interval and not any(map(isnan, interval)) else (None, None)
    return Estimate(value, low, high, len(concepts), len(pairs))


def _kappa_of(*cells: Array, axis: int = -1) -> Any:
    """Kappa of summed tables; nan where one verdict is all that either side gives.

    Args:
        cells: Counts of each pair of verdicts, row by row, each of shape (..., concepts).
        axis: The axis of the concepts.
    """
    sums = np.stack([cell.sum(axis=axis) for cell in cells])
    size = round(len(cells) ** 0.5)
    tables = sums.reshape(size, size, *sums.shape[1:])
    total = tables.sum(axis=(0, 1))
    seen = np.trace(tables) / total
    by_chance = (tables.sum(axis=0) * tables.sum(axis=1)).sum(axis=0) / total**2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(by_chance < 1, (seen - by_chance) / (1 - by_chance), nan)
