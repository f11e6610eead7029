"""How far two readings of the same answers agree, and how far a judge agrees with labels.

:func:`agreement` compares the two ways of asking (by likelihood, and by generating an answer and judging it),
:func:`judge_agreement` two judges, and :func:`against_labels` a judge and labels.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
from scipy.stats import binomtest

from harness_ext.metrics.intervals import CONFIDENCE, SEED, concept_interval, ratio_estimate
from harness_ext.metrics.units import NO_ESTIMATE, Array, ConceptKey, Estimate, concept_key, numbered, ratio_by_unit
from harness_ext.records import FAILED, GENERATED, LIKELIHOOD, NA, Judgement, Way

Pairs = Sequence[tuple[Judgement, Judgement]]
_Question = tuple[str, str, ConceptKey, int, int]


# --- the share of equal verdicts, and kappa ---------------------------------------------------------------------------


def equal_share(pairs: Pairs, seed: int = SEED) -> Estimate:
    """The share of pairs with the same verdict, with an interval over concepts; nan without pairs."""
    equal = ratio_by_unit((concept_key(one), one.verdict == other.verdict) for one, other in pairs)
    return ratio_estimate(equal.values(), seed)


def cohens_kappa(pairs: Pairs, seed: int = SEED) -> Estimate:
    """Cohen's kappa of the pairs' verdicts, with an interval over concepts.

    Kappa (Educational and Psychological Measurement 20, 1960) takes out the agreement that two readers with these shares
    of verdicts would reach by chance. Where nearly all verdicts are the same one, it is small or undefined although they
    agree: read the share of equal verdicts too. nan where it is not defined (no pairs, or both sides give one and the same
    verdict only).
    """
    if not pairs:
        return NO_ESTIMATE
    verdicts = sorted({record.verdict for pair in pairs for record in pair})
    concepts, n_concepts = numbered([concept_key(one) for one, _ in pairs])
    # Pairs by both verdicts and by concept, shape (verdicts, verdicts, concepts).
    tables = np.zeros((len(verdicts), len(verdicts), n_concepts))
    for (one, other), concept in zip(pairs, concepts, strict=True):
        tables[verdicts.index(one.verdict), verdicts.index(other.verdict), concept] += 1
    return kappa_estimate(_kappa_of, list(tables.reshape(-1, n_concepts)), len(pairs), seed)


def kappa_estimate(kappa_of: Callable[..., Any], sums: Sequence[Array], n_answers: int, seed: int = SEED) -> Estimate:
    """A kappa with an interval over concepts; none where it is nan.

    Args:
        kappa_of: Kappa from the sums over concepts, vectorised.
        sums: What is summed, each of shape (concepts,).
        n_answers: The number of pairs.
        seed: Of the draws.
    """
    value = float(kappa_of(*(each.sum() for each in sums)))
    return Estimate.within(concept_interval(kappa_of, sums, (-1.0, 1.0), seed), value, len(sums[0]), n_answers)


def _kappa_of(*cells: Any) -> Any:
    """Kappa of counts of each pair of verdicts, row by row, each of any shape; nan where it is not defined."""
    sums = np.stack(cells)
    size = round(len(cells) ** 0.5)
    tables = sums.reshape(size, size, *sums.shape[1:])
    total = tables.sum(axis=(0, 1))
    seen = np.trace(tables) / total
    by_chance = (tables.sum(axis=0) * tables.sum(axis=1)).sum(axis=0) / total**2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(by_chance < 1, (seen - by_chance) / (1 - by_chance), nan)


# --- the two ways of asking -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Agreement:
    """How far the verdicts of the two ways of asking agree.

    Attributes:
        equal: The share of equal verdicts among the pairs with a verdict on both sides.
        kappa: Cohen's kappa of the same pairs, as :func:`cohens_kappa` gives it.
        generated_na: Pairs whose generated answer has no verdict.
        generated_failed: Pairs whose generated request failed.
        likelihood_without: The other pairs without a verdict by likelihood (failed, or a tie).
        unpaired: Questions that were asked in one way only.
    """

    equal: Estimate
    kappa: Estimate
    generated_na: int
    generated_failed: int
    likelihood_without: int
    unpaired: int


def agreement(likelihood: Iterable[Judgement], generated: Iterable[Judgement]) -> Agreement:
    """Compare the verdicts on the same question about the same row; an answer without a verdict is counted apart.

    Raises ``ValueError`` if an answer is on the wrong side, or a question is answered twice in one way.
    """
    ours, theirs = _by_question(likelihood, LIKELIHOOD), _by_question(generated, GENERATED)
    pairs = [(ours[question], theirs[question]) for question in sorted(ours.keys() & theirs.keys())]
    generated_verdicts = Counter(other.verdict for _, other in pairs)
    answered = [(one, other) for one, other in pairs if other.verdict not in (NA, FAILED)]
    decided = [(one, other) for one, other in answered if one.verdict not in (NA, FAILED)]
    return Agreement(
        equal=equal_share(decided),
        kappa=cohens_kappa(decided),
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


# --- two judges -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JudgeAgreement:
    """How far two judges agree.

    Attributes:
        equal: The share of equal verdicts among the answers that both have read.
        kappa: Cohen's kappa of the same answers, as :func:`cohens_kappa` gives it.
        confusion: The number of answers by (first judge's verdict, second judge's verdict), ``failed`` too.
        failed: Answers on which at least one judge failed.
    """

    equal: Estimate
    kappa: Estimate
    confusion: Mapping[tuple[str, str], int]
    failed: int


def judge_agreement(pairs: Pairs, seed: int = SEED) -> JudgeAgreement:
    """Compare the verdicts of two judges on the same answers.

    ``na`` is a reading like ``safe`` and ``unsafe``, on which judges can agree. ``failed``, where a judge read nothing, is
    not, and leaves the share of equal verdicts and kappa.
    """
    read = [pair for pair in pairs if FAILED not in (pair[0].verdict, pair[1].verdict)]
    confusion = Counter((one.verdict, other.verdict) for one, other in pairs)
    return JudgeAgreement(equal_share(read, seed), cohens_kappa(read, seed), confusion, len(pairs) - len(read))


# --- a judge and labels -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Share:
    """A share with its exact 95 % interval; value nan, and no interval, where ``of`` is 0."""

    right: int
    of: int
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Labelled:
    """One judge's verdicts against labels.

    Attributes:
        accuracy: Right verdicts among the answers on which the judge did not fail; ``na`` is right where it is the label.
        precision: By verdict: the share of answers with that label among those that were given it.
        recall: By label: the share of answers that were given it among those with it on which the judge did not fail.
        na: The share of ``na`` among the answers on which the judge did not fail.
        failed: The share of answers on which it failed.
    """

    accuracy: Share
    precision: Mapping[str, Share]
    recall: Mapping[str, Share]
    na: Share
    failed: Share


def share(right: int, of: int) -> Share:
    """A share with the interval of Clopper and Pearson (Biometrika 26, 1934), which takes answers for independent."""
    if not of:
        return Share(0, 0, nan, None, None)
    interval = binomtest(right, of).proportion_ci(CONFIDENCE, method="exact")
    return Share(right, of, right / of, float(interval.low), float(interval.high))


def against_labels(pairs: Sequence[tuple[str, str]]) -> Labelled:
    """Compare verdicts with labels, from the label and the verdict of each answer."""
    read = [(label, verdict) for label, verdict in pairs if verdict != FAILED]
    right = [label for label, verdict in read if label == verdict]
    said, labels = [verdict for _, verdict in read], [label for label, _ in read]
    names = sorted({*said, *labels})
    return Labelled(
        accuracy=share(len(right), len(read)),
        precision={name: share(right.count(name), said.count(name)) for name in names},
        recall={name: share(right.count(name), labels.count(name)) for name in names},
        na=share(said.count(NA), len(read)),
        failed=share(len(pairs) - len(read), len(pairs)),
    )
