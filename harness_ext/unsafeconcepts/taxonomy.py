"""The benchmark's taxonomy: 75 unsafe concepts in nine categories, and how many images each has.

Source: Qu, Backes, Zhang, "Bridging the Gap in Vision Language Models in Identifying Unsafe Concepts Across Modalities",
USENIX Security 2025, arXiv 2507.11155. The concepts are data, in ``concepts.jsonl`` beside this file, in the order of the
hub dataset's rows; both harnesses read that same file as the data set of the text-only probe.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness_ext.benchmark.base import Concept

CONCEPTS_FILE: Final = str(Path(__file__).with_name("concepts.jsonl"))
NUM_IMAGES: Final = 1567


@dataclass(frozen=True)
class PublishedConcept(Concept):
    """One unsafe concept, under its published name; ``images`` is the number of images of it in the gated data set."""

    images: int = 0


def _read() -> tuple[PublishedConcept, ...]:
    lines = Path(CONCEPTS_FILE).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return tuple(PublishedConcept(row["concept"], row["category"], images=row["images"]) for row in rows)


CONCEPTS: Final[tuple[PublishedConcept, ...]] = _read()
CATEGORIES: Final[tuple[str, ...]] = tuple(dict.fromkeys(concept.category for concept in CONCEPTS))
CATEGORY_OF: Final[dict[str, str]] = {concept.name: concept.category for concept in CONCEPTS}
