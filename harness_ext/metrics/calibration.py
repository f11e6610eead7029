"""Whether a model is as often right as it is sure: reliability by bins, and the expected calibration error.

An answer's confidence is the probability of its verdict among the labels (for alignment at least 1/2, for perception at least
1/4). Answers are cut into ten bins of equal mass by their confidence, equal confidences into the same bin, and the error is
the mean over answers of |mean confidence - accuracy| of their bin. Sources: Naeini, Cooper, Hauskrecht, AAAI 2015; equal-mass
bins: Nguyen and O'Connor, EMNLP 2015.

A mean of absolute differences grows with noise, and over resampled concepts it grows again: the value leans upwards where a
model is well calibrated, and the interval is the basic one, which mirrors the resamples at the value, within 0 and 1 and
extended to hold the value. Simulated coverage of the nominal 95 % (100 data sets each, 25 answers a concept, concepts'
accuracies apart by a standard deviation of 0.1) for a true error of 0.01, 0.06 and 0.20: over 75 concepts 79, 86 and 98 %,
over 10 concepts 66, 90 and 79 %.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any, Final

import numpy as np

from harness_ext.metrics.accuracy import accuracy_estimate
from harness_ext.metrics.estimate import Estimate
from harness_ext.metrics.grouping import concept_key
from harness_ext.metrics.intervals import SEED, Array, concept_interval
from harness_ext.metrics.probabilities import normalised, scored
from harness_ext.metrics.records import NA, Judgement

BINS: Final = 10
_DIGITS: Final = 12


@dataclass(frozen=True)
class Bin:
    """Answers of similar confidence.

    Attributes:
        confidence: Their mean confidence.
        accuracy: The share of right ones, with an interval over concepts.
    """

    confidence: float
    accuracy: Estimate


def reliability(records: Iterable[Judgement], seed: int = SEED) -> tuple[Bin, ...]:
    """The reliability curve: up to ten bins of equal mass, by rising confidence.

    Answers by likelihood; those without scores (failed), or without a verdict (a tie), are left out.
    """
    answers, confidences = _confident(records)
    bins = _bins(confidences) if answers else np.array([], int)
    return tuple(
        Bin(
            float(confidences[bins == chosen].mean()),
            accuracy_estimate([answers[at] for at in np.flatnonzero(bins == chosen)], "drop", seed),
        )
        for chosen in np.unique(bins)
    )


def expected_calibration_error(records: Iterable[Judgement], seed: int = SEED) -> Estimate:
    """The expected calibration error with an interval over concepts; nan when no answer counts."""
    answers, confidences = _confident(records)
    return calibration_error(
        confidences, [record.correct for record in answers], [concept_key(record) for record in answers], seed
    )


def calibration_error(
    confidences: Sequence[float] | Array, correct: Sequence[bool], clusters: Sequence[Hashable], seed: int = SEED
) -> Estimate:
    """The expected calibration error of N answers; nan of none.

    Args:
        confidences: The probability of each one's verdict.
        correct: Whether that is the right one.
        clusters: What each one belongs to; the interval resamples these.
        seed: Seed of the resampling.
    """
    if not correct:
        return Estimate(nan, None, None, 0, 0)
    bins = _bins(np.asarray(confidences, float))
    known = {key: position for position, key in enumerate(dict.fromkeys(clusters))}
    positions = [known[key] for key in clusters]
    # Summed confidence minus right answers by bin and cluster; then answers by cluster.
    excess = np.zeros((BINS, len(known)))
    np.add.at(excess, (bins, positions), np.asarray(confidences, float) - np.array(correct, float))
    sums = [*excess, np.bincount(positions).astype(float)]
    value = float(_error(*sums))
    if (interval := concept_interval(_error, sums, sums, (0.0, 1.0), seed, "basic")) is None:
        return Estimate(value, None, None, len(known), len(correct))
    low, high = max(0.0, interval[0]), min(1.0, max(value, interval[1]))
    return Estimate(value, low, high, len(known), len(correct))


def _confident(records: Iterable[Judgement]) -> tuple[list[Judgement], Array]:
    """Answers that have a verdict, and their confidences."""
    pairs = [(record, normalised(scores)) for record, scores in scored(records) if record.verdict != NA]
    return [record for record, _ in pairs], np.array([max(probabilities.values()) for _, probabilities in pairs])


def _bins(confidences: Array) -> Any:
    """The number of each answer's bin."""
    # The answers on which the quantiles fall, by whole numbers: an interpolated quantile can be off by a last bit, and an
    # answer that lies on the edge would change its bin. So would one of two that are equal but for how they were computed.
    rounded = confidences.round(_DIGITS)
    edges = np.sort(rounded)[np.arange(1, BINS) * (len(confidences) - 1) // BINS]
    return np.searchsorted(edges, rounded)


def _error(*sums: Array, axis: int = -1) -> Any:
    *excess, answers = sums
    return sum(np.abs(bin_excess.sum(axis=axis)) for bin_excess in excess) / answers.sum(axis=axis)
