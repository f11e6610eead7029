"""Two judges on the same answers: how far they agree, and which verdicts they give for one another.

``na`` is a reading like ``safe`` and ``unsafe``, on which judges can agree; ``failed``, where a judge read nothing, is none,
and leaves the share of equal verdicts and kappa. Answers that the model itself failed to give are nobody's to read.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from harness_ext.metrics.estimate import Estimate
from harness_ext.metrics.intervals import SEED
from harness_ext.metrics.kappa import Pairs, cohens_kappa, equal_share
from harness_ext.metrics.records import FAILED


@dataclass(frozen=True)
class JudgeAgreement:
    """How far two judges agree.

    Attributes:
        equal: The share of equal verdicts, of the answers that both have read.
        kappa: Cohen's kappa of the same answers; nan where it is not defined.
        confusion: How many answers have the one verdict of the first judge and the other of the second, ``failed`` too.
        failed: Answers on which at least one judge failed.
    """

    equal: Estimate
    kappa: Estimate
    confusion: Mapping[tuple[str, str], int]
    failed: int


def judge_agreement(pairs: Pairs, seed: int = SEED) -> JudgeAgreement:
    """Hold the verdicts of two judges on the same answers against each other."""
    read = [pair for pair in pairs if FAILED not in (pair[0].verdict, pair[1].verdict)]
    confusion = Counter((one.verdict, other.verdict) for one, other in pairs)
    return JudgeAgreement(equal_share(read, seed), cohens_kappa(read, seed), confusion, len(pairs) - len(read))
