"""How good a classifier is on responses that it was not trained on."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scipy.stats import binomtest

from harness_ext.classifiers.training.rows import Example
from harness_ext.metrics.likelihood import calibration_error


@dataclass(frozen=True)
class Measures:
    """On different responses, each counted once: given again, a response would be read the same.

    Attributes:
        responses: How many there are.
        right: How many of them are read as labelled.
        interval: The exact 95 % interval of the accuracy (Clopper and Pearson).
        rows_accuracy: The accuracy over the rows that these responses came in.
        commonest: The share of the commonest label: what a judge that reads nothing reaches.
        calibration: The expected calibration error, ten bins of equal mass, with its interval; see
            :mod:`harness_ext.metrics.likelihood`.
        confusion: By label and by what was read, how many.
    """

    responses: int
    right: int
    interval: tuple[float, float]
    rows_accuracy: float
    commonest: float
    calibration: tuple[float, float | None, float | None]
    confusion: Mapping[str, Mapping[str, int]]

    @property
    def accuracy(self) -> float:
        """The share of the responses that are read as labelled."""
        return self.right / self.responses

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"accuracy": self.accuracy, **asdict(self)}


def measure(
    examples: Sequence[Example], read: Sequence[str], confidences: Sequence[float], labels: Sequence[str]
) -> Measures:
    """Compare what was read of N held-out examples with their labels.

    Args:
        examples: The examples, at least one.
        read: The label that was read of each.
        confidences: The probability that the classifier gave to it.
        labels: All labels, for the order of the table.
    """
    correct = [label == example.label for label, example in zip(read, examples, strict=True)]
    interval = binomtest(sum(correct), len(correct)).proportion_ci(0.95, method="exact")
    rows = sum(example.count for example in examples)
    found = Counter((example.label, label) for example, label in zip(examples, read, strict=True))
    error = calibration_error(confidences, correct, [example.text for example in examples])
    return Measures(
        len(correct),
        sum(correct),
        (float(interval.low), float(interval.high)),
        sum(example.count for example, right in zip(examples, correct, strict=True) if right) / rows,
        max(Counter(example.label for example in examples).values()) / len(examples),
        (error.value, error.low, error.high),
        {label: {other: found[label, other] for other in labels} for label in labels},
    )
