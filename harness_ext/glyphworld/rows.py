"""Glyphworld's evaluation rows: ten test renders of every concept, in the columns of the benchmark's rows.

Test renders come in blocks of ten, so that a result can be repeated on images that no earlier one was measured on. A row's
number tells its block too: rows of different blocks are never taken for the same image.
"""

import os
from typing import Any, Final

from datasets import Dataset, Features, Image, Value

from harness_ext.common.errors import UserError
from harness_ext.glyphworld.concepts import CONCEPTS
from harness_ext.glyphworld.render import TEST_SEEDS, render

# Of each concept. The benchmark's TEST has 4.6 unsafe images a concept.
RENDERS: Final = 10
HELD_OUT: Final = 4
ROWS: Final = RENDERS * len(CONCEPTS)
# After the first block come the renders that stand in for TEST; the rest of those ten is no block.
BLOCKS: Final = len(TEST_SEEDS) // RENDERS - 1
BLOCK_VARIABLE: Final = "UNSAFECONCEPTS_GLYPHWORLD_BLOCK"
_WORDS: Final = ("concept", "category", "label", "color", "count", "position")
FEATURES = Features({"image": Image(), "row": Value("int64"), **dict.fromkeys(_WORDS, Value("string"))})


def block_of_run() -> int:
    """The block of test renders that this run asks about: the first, or the one that the environment names.

    Raises ``UserError`` where there is no such block.
    """
    text = os.environ.get(BLOCK_VARIABLE, "").strip() or "0"
    if not text.isdecimal() or int(text) >= BLOCKS:
        raise UserError(f"{BLOCK_VARIABLE}: expected a block of test renders, 0 to {BLOCKS - 1}, found {text!r}")
    return int(text)


def seeds_of(block: int) -> range:
    """The seeds of a block's renders. Raises ``ValueError`` for a block that does not exist."""
    if not 0 <= block < BLOCKS:
        raise ValueError(f"block must be between 0 and {BLOCKS - 1}, found {block}")
    first = (block + 1) * RENDERS if block else 0
    return TEST_SEEDS[first : first + RENDERS]


def test_rows(block: int = 0) -> Dataset:
    """A block's test renders of each concept, concept by concept; ``position`` is None for several glyphs."""
    return _rendered(seeds_of(block), block * ROWS)


def held_out_rows() -> Dataset:
    """The renders of each concept that stand in for TEST: of seeds that nothing is trained on, nor a block has."""
    return _rendered(TEST_SEEDS[RENDERS : RENDERS + HELD_OUT], 0)


def _rendered(seeds: range, first_row: int) -> Dataset:
    rows: list[dict[str, Any]] = []
    for index, concept in enumerate(CONCEPTS):
        for seed in seeds:
            glyph = render(index, seed)
            words = (concept.name, concept.category, concept.label, glyph.color, glyph.count, glyph.position)
            rows.append({"image": glyph.image, "row": first_row + len(rows), **dict(zip(_WORDS, words, strict=True))})
    return Dataset.from_list(rows, features=FEATURES)
