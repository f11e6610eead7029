"""Whether the two ways of asking give the same verdict: by likelihood, and by generating an answer and judging it.

Of the questions that were put in both ways and have a verdict in both: the share with the same verdict, and Cohen's kappa
(``kappa.py``). Generated answers without a verdict are no disagreement; they are counted apart.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from harness_ext.metrics.estimate import Estimate
from harness_ext.metrics.grouping import ConceptKey, concept_key
from harness_ext.metrics.intervals import SEED
from harness_ext.metrics.kappa import cohens_kappa, equal_share
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
        equal=equal_share(decided, seed),
        kappa=cohens_kappa(decided, seed),
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
