"""Whether the two ways of asking give the same verdict: by likelihood, and by generating an answer and judging it.

Of the questions that were put in both ways and have a verdict in both: the share with the same verdict, and Cohen's kappa
(Educational and Psychological Measurement 20, 1960), which takes out what two readers with these shares of verdicts would
agree on by chance. Where nearly all verdicts are the same one, kappa is small or undefined although they agree: read both.
Generated answers without a verdict are no disagreement; they are counted apart.
"""

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

import numpy as np

from harness_ext.metrics.accuracy import Count, estimate_from_counts
from harness_ext.metrics.estimate import Estimate
from harness_ext.metrics.grouping import ConceptKey, concept_key
from harness_ext.metrics.intervals import SEED, Array, concept_interval
from harness_ext.metrics.records import FAILED, NA, Judgement, Way

_Question = tuple[str, str, ConceptKey, int, int]


@dataclass(frozen=True)
class Agreement:
    """How far the verdicts of the two ways agree.

    Attributes:
        equal: The share of equal verdicts; of the pairs with a verdict on both sides.
        kappa: Cohen's kappa of the same pairs; nan where it is not defined, without an interval where some resamples have
            none.
        generated_na: Pairs whose generated answer has no verdict.
        generated_failed: Pairs whose generated request failed.
        likelihood_without: Of the other pairs, those without a verdict by likelihood (failed, or a tie).
        unpaired: Questions that were put in one way only.
    """

    equal: Estimate
    kappa: Estimate
    generated_na: int
    generated_failed: int
    likelihood_without: int
    unpaired: int


def agreement(likelihood: Iterable[Judgement], generated: Iterable[Judgement], seed: int = SEED) -> Agreement:
    """Compare the verdicts on the same question about the same row.

    Raises:
        ValueError: If an answer is on the wrong side, or a question is answered twice in one way.
    """
    ours, theirs = _by_question(likelihood, "likelihood"), _by_question(generated, "generated")
    pairs = [(ours[question], theirs[question]) for question in sorted(ours.keys() & theirs.keys())]
    generated_verdicts = Counter(other.verdict for _, other in pairs)
    answered = [(one, other) for one, other in pairs if other.verdict not in (NA, FAILED)]
    decided = [(one, other) for one, other in answered if one.verdict not in (NA, FAILED)]
    return Agreement(
        equal=_equal(decided, seed),
        kappa=_kappa(decided, seed),
        generated_na=generated_verdicts[NA],
        generated_failed=generated_verdicts[FAILED],
        likelihood_without=len(answered) - len(decided),
        unpaired=len(ours.keys() ^ theirs.keys()),
    )


def _by_question(records: Iterable[Judgement], way: Way) -> dict[_Question, Judgement]:
    found: dict[_Question, Judgement] = {}
    for record in records:
        if record.way != way:
            raise ValueError(f"expected answers of the way {way!r}, found {record.way!r}")
        question = (record.source, record.probe, concept_key(record), record.row, record.question)
        if question in found:
            raise ValueError(f"expected one answer to each question, found several for {question}")
        found[question] = record
    return found


def _equal(pairs: Sequence[tuple[Judgement, Judgement]], seed: int) -> Estimate:
    counts: dict[ConceptKey, Count] = {}
    for one, other in pairs:
        before = counts.get(concept_key(one), Count(0, 0))
        counts[concept_key(one)] = Count(before.correct + (one.verdict == other.verdict), before.total + 1)
    return estimate_from_counts(list(counts.values()), seed)


def _kappa(pairs: Sequence[tuple[Judgement, Judgement]], seed: int) -> Estimate:
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
