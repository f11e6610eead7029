"""What the scores of an answer by likelihood say: probabilities of the labels, and how much of all answers they cover."""

from collections.abc import Iterable, Mapping
from math import exp, fsum, nan

from harness_ext.metrics.grouping import concept_key
from harness_ext.metrics.records import NO, Judgement


def scored(records: Iterable[Judgement]) -> list[tuple[Judgement, Mapping[str, float]]]:
    """The records that have scores, each with them; a failed request has none.

    In an order of their own, so that sums of floats do not depend on how the answers are sorted. Raises ``ValueError`` for
    an answer that was generated.
    """
    everything = list(records)
    if any(record.way != "likelihood" for record in everything):
        raise ValueError("expected answers by likelihood only, found generated ones among them")
    ordered = sorted(everything, key=lambda record: (concept_key(record), record.row, record.question))
    return [(record, record.scores) for record in ordered if record.scores is not None]


def mass(scores: Mapping[str, float]) -> float:
    """The probability that the answer is any of the labels: a verdict from little mass says little."""
    return fsum(map(exp, scores.values()))


def normalised(scores: Mapping[str, float]) -> dict[str, float]:
    """The labels' probabilities, given that the answer is one of them; they sum to 1."""
    best = max(scores.values())
    relative = {label: exp(score - best) for label, score in scores.items()}
    total = fsum(relative.values())
    return {label: value / total for label, value in relative.items()}


def chance_of_unsafe(scores: Mapping[str, float]) -> float:
    """The probability that an alignment answer says unsafe: P(no) / (P(yes) + P(no))."""
    return normalised(scores)[NO]


def mean_mass(records: Iterable[Judgement]) -> float:
    """Mean mass of the records that have scores; nan when none has."""
    masses = [mass(scores) for _, scores in scored(records)]
    return fsum(masses) / len(masses) if masses else nan
