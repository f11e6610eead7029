"""Local copies of SMID and the NSFW data set in their hub schema: harmless flat colours, in base64 or by a row's number."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
from PIL import Image

FEATURES = datasets.Features(
    index=datasets.Value("int64"), image=datasets.Value("string"), label=datasets.Value("string")
)


def colour(number: int) -> tuple[int, int, int]:
    """The colour that names row ``number``."""
    return (number * 20 % 256, 100, 200)


def encoded(number: int, form: str = "PNG") -> str:
    """A flat image of row ``number``'s colour, in base64."""
    file = io.BytesIO()
    Image.new("RGB", (16, 12), colour(number)).save(file, form)
    return base64.b64encode(file.getvalue()).decode()


def columns(count: int = 8, references: dict[int, int | str] | None = None) -> dict[str, list[Any]]:
    """``count`` rows, labelled in turn; those in ``references`` show the image of the row they are mapped to."""
    refers = references or {}
    return {
        "index": list(range(count)),
        "image": [str(refers[row]) if row in refers else encoded(row) for row in range(count)],
        "label": [("Unsafe", "Safe")[row % 2] for row in range(count)],
    }


def write(path: Path, values: dict[str, Sequence[Any]], features: datasets.Features | None = FEATURES) -> Path:
    """Write ``values`` to ``path``, a parquet file."""
    datasets.Dataset.from_dict(dict(values), features=features).to_parquet(path)
    return path
