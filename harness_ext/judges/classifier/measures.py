"""How good a trained judge is on responses that it was not trained on: measures, printed and in the model card."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text
from scipy.stats import binomtest

from harness_ext.common.output import neutral
from harness_ext.judges.classifier.examples import Example, LabelledResponses
from harness_ext.metrics.likelihood import calibration_error


@dataclass(frozen=True)
class Measures:
    """Measures on different responses, each counted once.

    Attributes:
        responses: How many they are.
        right: How many are read as labelled.
        accuracy: The share of them.
        interval: Its exact 95 % interval (Clopper and Pearson).
        rows_accuracy: The accuracy over the rows that the responses came in.
        commonest: The share of the commonest label.
        calibration: The expected calibration error with its interval.
        confusion: The responses by label and by the label read.
    """

    accuracy: float
    responses: int
    right: int
    interval: tuple[float, float]
    rows_accuracy: float
    commonest: float
    calibration: tuple[float, float | None, float | None]
    confusion: Mapping[str, Mapping[str, int]]


def measure(
    examples: Sequence[Example], read: Sequence[str], confidences: Sequence[float], labels: Sequence[str]
) -> Measures:
    """Compare the labels read in N held-out examples, with their probabilities, with the examples' labels.

    ``labels`` are all labels, for the order of the table.
    """
    correct = [label == example.label for label, example in zip(read, examples, strict=True)]
    interval = binomtest(sum(correct), len(correct)).proportion_ci(0.95, method="exact")
    counts = [example.count for example in examples]
    found = Counter((example.label, label) for example, label in zip(examples, read, strict=True))
    error = calibration_error(confidences, correct, [example.text for example in examples])
    return Measures(
        accuracy=sum(correct) / len(correct),
        responses=len(correct),
        right=sum(correct),
        interval=(float(interval.low), float(interval.high)),
        rows_accuracy=sum(itertools.compress(counts, correct)) / sum(counts),
        commonest=max(Counter(example.label for example in examples).values()) / len(examples),
        calibration=(error.value, error.low, error.high),
        confusion={label: {other: found[label, other] for other in labels} for label in labels},
    )


def show(measures: Measures, shown: Console) -> None:
    """Print the measures."""
    table = Table("labelled \\ read")
    for label in measures.confusion:
        table.add_column(Text(neutral(label)))
    for label, found in measures.confusion.items():
        table.add_row(Text(neutral(label)), *map(str, found.values()))
    accuracy = _figure(measures.accuracy, *measures.interval)
    first = f"held out: {measures.right} of {measures.responses} read right, {accuracy}"
    last = (
        f"by rows {measures.rows_accuracy:.3f}; the commonest label alone {measures.commonest:.3f}; "
        f"expected calibration error {_figure(*measures.calibration)}"
    )
    shown.print(first, table, last, sep="\n", highlight=False, markup=False)


def card(labelled: LabelledResponses, measures: Measures, record: Mapping[str, Any], seconds: float) -> str:
    """The model card: what the judge reads, how well, and what it was made of. It holds no text of any response."""
    kind, labels = labelled.kind, list(measures.confusion)
    head = {"library_name": "transformers", "pipeline_tag": "text-classification", "tags": ["unsafeconcepts", "judge"]}
    rows = {
        "held-out accuracy": f"{_figure(measures.accuracy, *measures.interval)}, {measures.right} of {measures.responses}",
        "the same, by rows": f"{measures.rows_accuracy:.3f}",
        "the commonest label alone": f"{measures.commonest:.3f}",
        "expected calibration error": _figure(*measures.calibration),
        "trained from": record["base"],
        "labelled responses": "; ".join(labelled.origin),
        "different responses": record["examples"],
        **{name: record[name] for name in ("epochs", "learning_rate", "batch_size", "patience", "held_out", "seed")},
        "training took": f"{seconds:.0f} s",
        "made with": ", ".join(f"{name} {number}" for name, number in record["versions"].items()),
    }
    warnings = ""
    if labelled.is_stand_in:
        warnings += (
            "**Glyphworld is a stand-in, not the benchmark.** This judge knows the few forms of its answers, nothing of a "
            "real model's; its accuracy says nothing about those.\n\n"
        )
    if record["without"]:
        warnings += f"**Trained without any response of {', '.join(record['without'])}**: it never answers so.\n\n"
    figures = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    read = "\n".join(f"| {label} | {' | '.join(map(str, row.values()))} |" for label, row in measures.confusion.items())
    reward = "As a reward of `align`: `{name: classifier, model: THIS_FOLDER}`.\n" if kind == "alignment" else ""
    return f"""---
{yaml.safe_dump(head, sort_keys=False)}---

# A judge of {kind} answers

Reads {", ".join(labels)} in the response alone. 95 % intervals; a response counts once, however often it was
given, and those measured on were neither trained on nor used to end training.

{warnings}| | |
| --- | --- |
{figures}

| labelled \\ read | {" | ".join(labels)} |
| --- |{" ---: |" * len(labels)}
{read}

As a judge it is named `classifier`, with the option `{kind}=THIS_FOLDER`.
{reward}"""


def _figure(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"
