"""How good a trained judge is on responses that it was not trained on, and the model card that says so."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import yaml
from scipy.stats import binomtest

from harness_ext.judges.classifier.examples import Example, LabelledResponses
from harness_ext.metrics.likelihood import calibration_error


@dataclass(frozen=True)
class Measures:
    """Measures on different responses, each counted once, for a repeated response is read the same.

    Attributes:
        responses: The number of responses.
        right: The number read as labelled.
        interval: The exact 95 % interval of the accuracy (Clopper and Pearson).
        rows_accuracy: The accuracy over the rows that these responses came in.
        commonest: The share of the commonest label, the accuracy of a judge that reads nothing.
        calibration: The expected calibration error, ten bins of equal mass, with its interval; see
            :mod:`harness_ext.metrics.likelihood`.
        confusion: The number of responses by label and by the label read.
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
    """Compare the labels read in N held-out examples with their labels.

    Args:
        examples: The examples, at least one.
        read: The label read in each, shape (N,).
        confidences: The classifier's probability of it, shape (N,).
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


def card(labelled: LabelledResponses, measures: Measures, record: Mapping[str, Any], seconds: float) -> str:
    """The model card: what the judge reads, how well, and what it was made of. It holds no text of any response.

    Args:
        labelled: The responses that it was trained and measured on.
        measures: On the held-out part.
        record: How it was trained; see :func:`harness_ext.judges.classifier.train.make_record`.
        seconds: The duration of training.
    """
    kind, without = labelled.kind, record["without"]
    head = {"library_name": "transformers", "pipeline_tag": "text-classification", "tags": ["unsafeconcepts", "judge"]}
    labels = list(measures.confusion)
    low, high = measures.interval
    rows = {
        "held-out accuracy": f"{measures.accuracy:.3f} [{low:.3f}, {high:.3f}], {measures.right} of {measures.responses}",
        "the same, by rows": f"{measures.rows_accuracy:.3f}",
        "the commonest label alone": f"{measures.commonest:.3f}",
        "expected calibration error": _with_interval(*measures.calibration),
        "trained from": record["base"],
        "labelled responses": "; ".join(labelled.origin),
        "different responses": record["examples"],
        **{name: record[name] for name in ("epochs", "learning_rate", "batch_size", "patience", "held_out", "seed")},
        "training took": f"{seconds:.0f} s",
        "made with": ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
    }
    warnings = []
    if labelled.is_stand_in:
        warnings.append(
            "**Glyphworld is a stand-in, not the benchmark.** This judge knows the few forms of its answers, nothing of a "
            "real model's; its accuracy says nothing about those."
        )
    if without:
        warnings.append(f"**Trained without any response of {', '.join(without)}**: it never answers so.")
    return "\n".join(
        [
            "---",
            yaml.safe_dump(head, sort_keys=False).rstrip(),
            "---",
            "",
            f"# A judge of {kind} answers",
            "",
            f"Reads {', '.join(labels)} in the response alone. 95 % intervals; a response counts once, however often it was",
            "given, and those measured on were neither trained on nor used to end training.",
            "",
            *(line for warning in warnings for line in (warning, "")),
            "| | |",
            "| --- | --- |",
            *(f"| {name} | {value} |" for name, value in rows.items()),
            "",
            "| labelled \\ read | " + " | ".join(labels) + " |",
            "| --- |" + " ---: |" * len(labels),
            *(
                f"| {label} | " + " | ".join(str(count) for count in found.values()) + " |"
                for label, found in measures.confusion.items()
            ),
            "",
            f"As a judge it is named `classifier`, with the option `{kind}=THIS_FOLDER`.",
            *(["As a reward of `align`: `{name: classifier, model: THIS_FOLDER}`."] if kind == "alignment" else []),
            "",
        ]
    )


def _with_interval(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"
