"""The model card of a trained judge: what it reads, how well, and what it was made of. No text of any response."""

from collections.abc import Mapping
from typing import Any

import yaml

from harness_ext.classifiers.training.measures import Measures
from harness_ext.classifiers.training.rows import Labelled


def card(labelled: Labelled, measures: Measures, record: Mapping[str, Any], seconds: float) -> str:
    """The card's text; ``record`` as :func:`harness_ext.classifiers.training.folder.make_record` says it.

    Args:
        labelled: What it was trained and measured on.
        measures: On the part that was held out.
        record: How it was trained.
        seconds: How long training took.
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
