"""The four answer options of the perception probe: the authors' published ones, and a seeded generator of such options.

For UnsafeConcepts the published options are used and no others. The generator follows the same rules for sources that
have no published set. Source of the rules: Qu, Backes, Zhang, USENIX Security 2025, arXiv 2507.11155.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness_ext.benchmark.questions import LETTERS


@dataclass(frozen=True)
class Options:
    """One image's options: ``options`` by letter, A to D in order, and the letter of the right one."""

    options: Mapping[str, str]
    correct: str


def parse_published(text: str) -> tuple[Options, ...]:
    """The options in the authors' JSON lines (keys ``option_str`` and ``correct_option``), whose sha256 was checked."""
    return tuple(_parse_row(json.loads(line)) for line in text.splitlines())


def _parse_row(row: Mapping[str, str]) -> Options:
    # One option a line, "A: text", most lines ending in a blank.
    lines = [line.strip().partition(": ") for line in row["option_str"].split("\n")]
    return Options({letter: option for letter, _, option in lines}, row["correct_option"])


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
