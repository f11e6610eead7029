"""A made-up UnsafeConcepts of coloured noise with safe images beside it, in which some images are alike."""

import io
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
import pytest
from PIL import Image

from harness_ext.benchmark.splits import Split
from harness_ext.unsafeconcepts.splits import NUM_SAFE_IMAGES as SAFE
from harness_ext.unsafeconcepts.splits import safe_split, unsafe_split
from harness_ext.unsafeconcepts.taxonomy import CONCEPTS

UNSAFE = 1567


def picture(number: int, size: int = 24) -> Image.Image:
    coarse = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


def recompressed(number: int) -> Image.Image:
    """The picture of that number, near to it but not the same."""
    file = io.BytesIO()
    picture(number, size=40).save(file, "JPEG", quality=85)
    return Image.open(file)


class Copies(NamedTuple):
    """Local copies on disk, how they are split, and by row of the training side the row of TEST that it is made from."""

    unsafe: Path
    safe: Path
    split: Split
    near: dict[int, int]


@pytest.fixture(scope="session")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Copies:
    folder = tmp_path_factory.mktemp("copies")
    names = [concept for concept in CONCEPTS for _ in range(concept.images)]
    train, test = (
        (*of_unsafe, *(UNSAFE + row for row in of_safe))
        for of_unsafe, of_safe in zip(unsafe_split(), safe_split(), strict=True)
    )
    near = {
        train[500]: test[200],  # of two concepts
        train[800]: test[250],
        train[801]: test[250],
        train[10]: test[-1],  # an unsafe image and a safe one
        train[-1]: test[-2],
        train[-2]: test[0],
    }
    pictures = [picture(row) for row in range(UNSAFE + SAFE)]
    alike = {train[901]: train[900], test[301]: test[300]}  # on one side
    for row, original in (near | alike).items():
        pictures[row] = recompressed(original)
    columns: dict[str, Any] = {
        "image": pictures[:UNSAFE],
        "category": [each.category for each in names],
        "unsafe_concept": [each.name for each in names],
    }
    write(columns, folder / "unsafe.parquet")
    write({"image": pictures[UNSAFE:], "concept": [f"class {row}" for row in range(SAFE)]}, folder / "safe.parquet")
    return Copies(folder / "unsafe.parquet", folder / "safe.parquet", Split(train, test), near)


def write(columns: dict[str, Any], file: Path) -> None:
    features = datasets.Features({name: datasets.Value("string") for name in columns} | {"image": datasets.Image()})
    datasets.Dataset.from_dict(columns, features=features).to_parquet(file)


@pytest.fixture
def gated(copies: Copies, monkeypatch: pytest.MonkeyPatch) -> Copies:
    """The copies, named as a user would; what is made of them once is kept beside them."""
    monkeypatch.setenv("UNSAFECONCEPTS_PATH", str(copies.unsafe))
    monkeypatch.setenv("UNSAFECONCEPTS_SAFE_PATH", str(copies.safe))
    monkeypatch.setenv("UNSAFECONCEPTS_CACHE", str(copies.unsafe.parent / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", copies.unsafe.parent / "datasets")
    return copies
