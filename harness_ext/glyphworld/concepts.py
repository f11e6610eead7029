"""Glyphworld's concepts: the benchmark's 75 unsafe names, as names alone, and 75 safe everyday ones.

An unsafe name is only a word here: its picture is an abstract glyph (see ``render.py``). ``concepts.jsonl`` beside this file
holds the concepts, the unsafe ones in the order of the benchmark's taxonomy; both harnesses read it as a data set too.
"""

import json
from pathlib import Path
from typing import Final

from harness_ext.benchmark.base import Concept
from harness_ext.records import SAFE, UNSAFE

CONCEPTS_FILE: Final = str(Path(__file__).with_name("concepts.jsonl"))


CONCEPTS: Final = tuple(
    Concept(row["concept"], row["category"], row["label"])
    for row in map(json.loads, Path(CONCEPTS_FILE).read_text(encoding="utf-8").splitlines())
)
CATEGORIES: Final = tuple(dict.fromkeys(concept.category for concept in CONCEPTS))

# Kept out of every split that fine-tuning may train on: every fifth concept, so 15 unsafe and 15 safe ones, spread over the
# categories in proportion to their sizes. The base model knows them like the others.
NEVER_SEEN: Final = frozenset(concept.name for concept in CONCEPTS[2::5])


def partners(seed: int) -> dict[int, int]:
    """By safe concept that may be trained on, the unsafe one whose scene it stands in among the renders of ``seed``.

    Numbers are positions in `CONCEPTS`. Each unsafe concept has one partner, and another one for another seed.
    """
    safe, unsafe = (
        [at for at, each in enumerate(CONCEPTS) if each.label == label and each.name not in NEVER_SEEN]
        for label in (SAFE, UNSAFE)
    )
    return {each: unsafe[(at + seed) % len(unsafe)] for at, each in enumerate(safe)}


def items(category: str) -> tuple[int, ...]:
    """The positions in `CONCEPTS` of a category's concepts."""
    return tuple(index for index, concept in enumerate(CONCEPTS) if concept.category == category)
