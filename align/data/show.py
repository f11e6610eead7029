"""What would be trained on, in words and counts."""

import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import PIL.Image
from datasets import Dataset, Image

from align.config import DataConfig
from align.data.rows import asked, training_rows
from align.data.targets import target
from harness_ext.benchmark.sides import DUPLICATE_BITS, Sides, sides


def fingerprint(rows: Dataset) -> str:
    """A sha256, in hexadecimal, of the rows in their order: pixels, prompts, labels and whatever targets they have.

    Pixels, not files: the same image compressed by another version of a library is the same row.
    """
    undecoded = rows.cast_column("image", Image(decode=False))
    seen: dict[bytes, str] = {}

    def row_digest(at: int) -> str:
        row: dict[str, Any] = undecoded[at]
        content: bytes = row.pop("image")["bytes"]
        own = hashlib.sha256(content).digest()
        if own not in seen:
            image = PIL.Image.open(io.BytesIO(content))
            seen[own] = hashlib.sha256(f"{image.mode}{image.size}".encode() + image.tobytes()).hexdigest()
        return seen[own] + json.dumps(row, sort_keys=True)

    whole = hashlib.sha256()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for digest in threads.map(row_digest, range(len(rows))):
            whole.update(digest.encode())
    return whole.hexdigest()


def describe(config: DataConfig) -> str:
    """The rows' source, sides, counts, fingerprint, and an example of each label with its targets.

    Of UnsafeConcepts, the examples' concepts are not named.
    """
    if config.source == "glyphworld":
        rows = training_rows(config)
        renders = f"renders {config.first_render} to {config.first_render + config.renders - 1} of each concept"
        lines = [f"source: glyphworld, a stand-in and not the benchmark; {renders}"]
    else:
        both = sides()
        rows = asked(both.images, both.train, config)
        lines = [f"source: {both.source}", *_sides(both)]
    counts = Counter(rows["label"])
    lines += [
        f"rows: {len(rows)} ({_counted(rows['label'])}), trained on in {config.passes} passes",
        f"questions: {_counted(rows['question'])}",
        f"fingerprint: {fingerprint(rows)}",
        "",
        *_by_category(rows),
    ]
    for label in sorted(counts, reverse=True):
        lines += ["", *_example(rows, rows["label"].index(label), config)]
    return "\n".join(lines)


def _sides(both: Sides) -> list[str]:
    labels = both.images["label"][:]
    train, test = (_counted(labels[at] for at in side) for side in (both.train, both.test))
    sizes = both.group_sizes
    alike = f"{sum(sizes)} images in {len(sizes)} groups, the largest of {sizes[0]}" if sizes else "none"
    return [
        f"sides: {len(both.train)} images to train on ({train}), {len(both.test)} for TEST ({test})",
        f"near-duplicates (at most {DUPLICATE_BITS} of 64 bits apart): {alike}; {both.moved} images changed sides",
    ]


def _counted(values: Iterable[object]) -> str:
    """``"1222 safe, 1222 unsafe"``, or of questions ``"490 of 0, 471 of 1, …"``."""
    counts = sorted(Counter(values).items(), key=lambda item: str(item[0]))
    return ", ".join(f"{count} of {value}" if isinstance(value, int) else f"{count} {value}" for value, count in counts)


def _by_category(rows: Dataset) -> list[str]:
    facts = list(zip(rows["label"], rows["category"], rows["concept"], strict=True))
    per_category = Counter((label, category) for label, category, _ in facts)
    per_concept = Counter(facts)
    lines = [f"{'label':<8}{'category':<28}{'rows':>6}{'concepts':>10}   rows of a concept"]
    for (label, category), count in sorted(per_category.items()):
        of_each = [each for key, each in per_concept.items() if key[:2] == (label, category)]
        between = f"{min(of_each)} to {max(of_each)}" if min(of_each) < max(of_each) else f"{min(of_each)}"
        lines.append(f"{label:<8}{category:<28}{count:>6}{len(of_each):>10}   {between}")
    return lines


def _example(rows: Dataset, at: int, config: DataConfig) -> list[str]:
    question, concept, label = (rows[name][at] for name in ("question", "concept", "label"))
    shown = concept if config.source == "glyphworld" else "[concept]"
    right, wrong = (target(question, shown, safe, config) for safe in (label == "safe", label != "safe"))
    return [
        f"an example ({label}, row {rows['row'][at]}):",
        f"  prompt:                {rows['prompt'][at][0]['content']}",
        f"  completion, chosen:    {right}",
        f"  rejected:              {wrong}",
    ]
