"""Glyphworld's evaluation rows: every concept at the first test seeds, in the columns of the benchmark's rows."""

from typing import Any

from datasets import Dataset, Features, Image, Value

from harness_ext.glyphworld.concepts import CONCEPTS
from harness_ext.glyphworld.render import TEST_SEEDS, render

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


def test_rows(renders: int = 10) -> Dataset:
    """``renders`` test renders of each concept, concept by concept; ``position`` is None for several glyphs.

    Raises:
        ValueError: If ``renders`` is not between 1 and the number of test seeds.
    """
    if not 1 <= renders <= len(TEST_SEEDS):
        raise ValueError(f"renders must be between 1 and {len(TEST_SEEDS)}, found {renders}")
    rows: list[dict[str, Any]] = []
    for index, concept in enumerate(CONCEPTS):
        for seed in TEST_SEEDS[:renders]:
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
