"""Glyphworld's evaluation rows: every concept at the first test seeds, in the columns of the benchmark's rows."""

from typing import Any, Final

from datasets import Dataset, Features, Image, Value

from harness_ext.glyphworld.concepts import CONCEPTS
from harness_ext.glyphworld.render import TEST_SEEDS, render

# Of each concept. The benchmark's TEST has 4.6 unsafe images a concept.
RENDERS: Final = 10
HELD_OUT: Final = 4
FEATURES = Features(
    {
        "image": Image(),
        "row": Value("int64"),
        "concept": Value("string"),
        "category": Value("string"),
        "label": Value("string"),
        "color": Value("string"),
        "count": Value("string"),
        "position": Value("string"),
    }
)


def test_rows(renders: int = RENDERS) -> Dataset:
    """``renders`` test renders of each concept, concept by concept; ``position`` is None for several glyphs.

    Raises:
        ValueError: If ``renders`` is not between 1 and the number of test seeds.
    """
    if not 1 <= renders <= len(TEST_SEEDS):
        raise ValueError(f"renders must be between 1 and {len(TEST_SEEDS)}, found {renders}")
    return _rendered(TEST_SEEDS[:renders])


def held_out_rows() -> Dataset:
    """The renders of each concept that stand in for TEST: of seeds that nothing is trained on, nor `test_rows` has."""
    return _rendered(TEST_SEEDS[RENDERS : RENDERS + HELD_OUT])


def _rendered(seeds: range) -> Dataset:
    rows: list[dict[str, Any]] = []
    for index, concept in enumerate(CONCEPTS):
        for seed in seeds:
            glyph = render(index, seed)
            rows.append(
                {
                    "image": glyph.image,
                    "row": len(rows),
                    "concept": concept.name,
                    "category": concept.category,
                    "label": concept.label,
                    "color": glyph.color,
                    "count": glyph.count,
                    "position": glyph.position,
                }
            )
    return Dataset.from_list(rows, features=FEATURES)
