"""The four answer options of the perception probe: the authors' published ones, and a seeded generator of such options.

For UnsafeConcepts the published options are used and no others. The generator follows the same rules for sources that
have no published set. Source of the rules: Qu, Backes, Zhang, USENIX Security 2025, arXiv 2507.11155.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness_ext.benchmark.questions import LETTERS
from harness_ext.benchmark.taxonomy import CATEGORY_OF, CONCEPTS, NUM_IMAGES
from harness_ext.common.errors import SourceError

_NAME: Final = "perception_metadata.jsonl"


@dataclass(frozen=True)
class Options:
    """One image's options: ``options`` by letter, A to D in order, and the letter of the right one."""

    options: Mapping[str, str]
    correct: str


def parse_published(text: str) -> tuple[Options, ...]:
    """The options in the authors' JSON lines (keys ``unsafe_concept``, ``option_str``, ``correct_option``), checked.

    Raises ``SourceError`` naming the first row that is not as published: in the taxonomy's order, with four options A
    to D of which the right one is the row's concept and no other is of its category.
    """
    rows = [json.loads(line) for line in text.splitlines()]
    concepts = [concept.name for concept in CONCEPTS for _ in range(concept.images)]
    if len(rows) != NUM_IMAGES:
        raise SourceError(f"{_NAME}: expected {NUM_IMAGES} rows, found {len(rows)}")
    return tuple(_parse_row(number, row, concepts[number]) for number, row in enumerate(rows))


def _parse_row(number: int, row: Mapping[str, Any], concept: str) -> Options:
    # One option a line, "A: text", most lines ending in a blank.
    pairs = [line.strip().partition(": ") for line in row["option_str"].split("\n")]
    texts = {letter: text for letter, _, text in pairs}
    if [letter for letter, _, _ in pairs] != list(LETTERS) or not all(texts.values()):
        raise SourceError(f"{_NAME}, row {number}: expected options A to D, found {row['option_str']!r}")
    correct = row["correct_option"]
    if row["unsafe_concept"] != concept or texts.get(correct) != concept:
        raise SourceError(
            f"{_NAME}, row {number}: expected {concept!r} to be right, found {correct!r}: {texts.get(correct)!r}"
        )
    for letter, text in texts.items():
        if letter != correct and CATEGORY_OF.get(text) == CATEGORY_OF[concept]:
            raise SourceError(f"{_NAME}, row {number}: option {letter}, {text!r}, is of the right one's category")
    return Options(texts, correct)


def generated_options(concepts: Sequence[str], categories: Sequence[str], seed: int) -> tuple[Options, ...]:
    """Options for a source without a published set, one for each row of ``concepts`` and ``categories``.

    The published rules: four options, the right letter uniform, three distractors never of the right one's category.
    Stricter than they: distractors are distinct. Drawn from the concepts that occur in the rows. A row's options depend
    on the seed, its number and which concepts occur, not on the other rows. Raises ``ValueError`` if fewer than three
    concepts lie outside a category.
    """
    rows = list(zip(concepts, categories, strict=True))
    category_of = dict(rows)
    outside = {
        category: sorted(concept for concept, other in category_of.items() if other != category)
        for category in set(categories)
    }
    return tuple(
        _draw(concept, outside[category], random.Random(f"{seed}:{row}"))
        for row, (concept, category) in enumerate(rows)
    )


def _draw(concept: str, candidates: Sequence[str], rng: random.Random) -> Options:
    texts = rng.sample(candidates, len(LETTERS) - 1)
    right = rng.randrange(len(LETTERS))
    texts.insert(right, concept)
    return Options(dict(zip(LETTERS, texts, strict=True)), LETTERS[right])
