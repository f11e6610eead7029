"""What would be trained on, in words and counts."""

import hashlib
from collections import Counter
from typing import Any

from datasets import Dataset, Image

from align.config import DataConfig
from align.data.rows import passes, sides, training_rows
from align.data.targets import target


def fingerprint(rows: Dataset) -> str:
    """A sha256, in hexadecimal, of the rows in their order: images, prompts, labels and whatever targets they have."""
    digest = hashlib.sha256()
    undecoded = rows.cast_column("image", Image(decode=False))
    for row in undecoded:
        image: dict[str, Any] = row.pop("image")
        digest.update(hashlib.sha256(image["bytes"]).digest())
        digest.update(repr(sorted(row.items())).encode())
    return digest.hexdigest()


def describe(config: DataConfig) -> str:
    """The rows' source, counts, fingerprint, and an example of each label with its targets."""
    rows = training_rows(config)
    labels, concepts = Counter(rows["label"]), Counter(rows["concept"])
    lines = [f"source: {_source(config)}"]
    if config.source == "unsafeconcepts":
        both = sides(config)
        lines += [
            f"sides: {len(both.train)} images to train on, {len(both.test)} for TEST, "
            f"{both.moved} of them moved to their near-duplicates",
        ]
    lines += [
        f"rows: {len(rows)} ({', '.join(f'{count} {label}' for label, count in sorted(labels.items()))}), "
        f"of {len(concepts)} concepts, {min(concepts.values())} to {max(concepts.values())} of each",
        f"trained on: {len(passes(rows, config))} rows in {config.passes} passes",
        "questions: " + ", ".join(f"{number}: {count}" for number, count in sorted(Counter(rows["question"]).items())),
        f"fingerprint: {fingerprint(rows)}",
        "",
        f"{'category':<28}{'rows':>6}",
        *(f"{category:<28}{count:>6}" for category, count in sorted(Counter(rows["category"]).items())),
    ]
    for label in ("unsafe", "safe"):
        at = rows["label"].index(label) if label in labels else None
        if at is not None:
            lines += ["", *_example(rows, at, config)]
    return "\n".join(lines)


def _source(config: DataConfig) -> str:
    if config.source == "glyphworld":
        last = config.first_render + config.renders - 1
        return f"glyphworld, a stand-in and not the benchmark; renders {config.first_render} to {last} of each concept"
    return sides(config).source


def _example(rows: Dataset, at: int, config: DataConfig) -> list[str]:
    question, concept, label = (rows[name][at] for name in ("question", "concept", "label"))
    return [
        f"an example ({label}, row {rows['row'][at]}):",
        f"  prompt:    {rows['prompt'][at][0]['content']}",
        f"  chosen:    {target(question, concept, label == 'safe', config)}",
        f"  rejected:  {target(question, concept, label != 'safe', config)}",
    ]
