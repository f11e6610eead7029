"""Accuracy in both of the paper's conventions, which are never mixed in one number.

- ``drop``, the paper's "measuring": an answer that is ``na`` leaves the denominator.
- ``wrong``, its "TEST" and "generalisation": an answer that is ``na`` counts as wrong.

In both, ``failed`` requests are in no denominator: they say nothing about the model. All answers are pooled (micro).
Source: Qu, Backes, Zhang, USENIX Security 2025, arXiv 2507.11155.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import nan
from typing import Literal, get_args

import numpy as np

from harness_ext.metrics.estimate import Estimate
from harness_ext.metrics.grouping import ConceptKey, by_concept
from harness_ext.metrics.intervals import SEED, concept_interval, ratio
from harness_ext.metrics.records import FAILED, NA, Judgement

NaConvention = Literal["drop", "wrong"]


@dataclass(frozen=True)
class Count:
    """How many answers are right, of how many that count."""

    correct: int
    total: int

    @property
    def accuracy(self) -> float:
        """Share of right answers; nan when none counts."""
        return self.correct / self.total if self.total else nan


def count(records: Iterable[Judgement], na: NaConvention) -> Count:
    """Right answers and answers that count under convention ``na``. Raises ``ValueError`` for another convention."""
    if na not in get_args(NaConvention):
        raise ValueError(f"na must be 'drop' or 'wrong', found {na!r}")
    outside = {FAILED, NA} if na == "drop" else {FAILED}
    counted = [record for record in records if record.verdict not in outside]
    return Count(sum(record.correct for record in counted), len(counted))


def accuracy(records: Iterable[Judgement], na: NaConvention) -> float:
    """Share of right answers under convention ``na``; nan when no answer counts."""
    return count(records, na).accuracy


def count_by_concept(records: Iterable[Judgement], na: NaConvention) -> dict[ConceptKey, Count]:
    """Counts of each concept that has an answer that counts, in the order of the concepts' names.

    The order is that of the names, so that seeded resampling does not depend on how the answers are sorted.
    """
    counts = {concept: count(answers, na) for concept, answers in sorted(by_concept(records).items())}
    return {concept: counted for concept, counted in counts.items() if counted.total}


def accuracy_estimate(records: Iterable[Judgement], na: NaConvention, seed: int = SEED) -> Estimate:
    """Accuracy under convention ``na`` with an interval over concepts."""
    return estimate_from_counts(list(count_by_concept(records, na).values()), seed)


def estimate_from_counts(counts: list[Count], seed: int = SEED) -> Estimate:
    """Pooled accuracy of per-concept counts (none of them empty) with its interval."""
    if not counts:
        return Estimate(nan, None, None, 0, 0)
    correct = np.array([counted.correct for counted in counts], dtype=float)
    total = np.array([counted.total for counted in counts], dtype=float)
    interval = concept_interval(ratio, (correct, total), (correct / total,), (0.0, 1.0), seed)
    low, high = interval or (None, None)
    return Estimate(float(ratio(correct, total)), low, high, len(counts), int(total.sum()))
