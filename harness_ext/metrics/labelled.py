"""A judge against labels: how many of its verdicts are right, by what it said and by what was right.

Intervals are the exact ones of Clopper and Pearson (Biometrika 26, 1934), which take answers for independent of each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan

from harness_ext.metrics.intervals import CONFIDENCE
from harness_ext.metrics.records import FAILED, NA


@dataclass(frozen=True)
class Share:
    """A share with its exact 95 % interval; value nan, and no interval, of nothing."""

    right: int
    of: int
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Labelled:
    """One judge's verdicts against labels.

    Attributes:
        accuracy: Right verdicts, of the answers on which the judge did not fail; ``na`` is right where it is the label.
        precision: By verdict: of the answers that were given it, those with that label.
        recall: By label: of the answers with it, those that were given it; those on which the judge failed are left out.
        na: The share of ``na`` among the answers on which the judge did not fail.
        failed: The share of answers on which it failed.
    """

    accuracy: Share
    precision: Mapping[str, Share]
    recall: Mapping[str, Share]
    na: Share
    failed: Share


def share(right: int, of: int) -> Share:
    """A share of ``of``, with its interval."""
    from scipy.stats import binomtest

    if not of:
        return Share(0, 0, nan, None, None)
    interval = binomtest(right, of).proportion_ci(CONFIDENCE, method="exact")
    return Share(right, of, right / of, float(interval.low), float(interval.high))


def against_labels(pairs: Sequence[tuple[str, str]]) -> Labelled:
    """Hold verdicts against labels.

    Args:
        pairs: The label and the verdict of each answer.
    """
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
