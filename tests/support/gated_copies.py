"""A made-up UnsafeConcepts of coloured noise with safe images beside it, in which some images are alike."""

import io
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
import pytest
from PIL import Image

from harness_ext.benchmark.splits import Split, split_by_concept, split_safe
from harness_ext.benchmark.taxonomy import CONCEPTS

UNSAFE, SAFE = 1567, 1730
SEED = 42


def picture(number: int, size: int = 24) -> Image.Image:
    coarse = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


def recompressed(number: int) -> Image.Image:
    """The picture of that number, near to it but not the same."""
    file = io.BytesIO()
    picture(number, size=40).save(file, "JPEG", quality=85)
    return Image.open(file)


class Copies(NamedTuple):
    """Local copies on disk, how they are split where nothing is alike, and the groups of rows that are alike."""

    unsafe: Path
    safe: Path
    split: Split
    groups: list[set[int]]


@pytest.fixture(scope="session")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Copies:
    folder = tmp_path_factory.mktemp("copies")
    names = [concept for concept in CONCEPTS for _ in range(concept.images)]
    unsafe = split_by_concept([each.name for each in names], SEED)
    safe = split_safe(SAFE, unsafe, SEED)
    train, test = unsafe.train, unsafe.test
    groups = [
        set(range(names[0].images)),  # a whole concept, on both sides
        {train[500], test[200]},  # two concepts, one on each side
        {train[800], test[250], test[300]},  # three concepts, most in TEST
        {test[-1], UNSAFE + safe.train[0], UNSAFE + safe.train[7]},  # an unsafe image and two safe ones
        {train[900], train[901]},  # on one side anyway
    ]
    pictures = [picture(row) for row in range(UNSAFE + SAFE)]
    for group in groups:
        first, *others = sorted(group)
        for row in others:
            pictures[row] = recompressed(first)
    columns: dict[str, Any] = {
        "image": pictures[:UNSAFE],
        "category": [each.category for each in names],
        "unsafe_concept": [each.name for each in names],
    }
    write(columns, folder / "unsafe.parquet")
    write({"image": pictures[UNSAFE:], "concept": [f"class {row}" for row in range(SAFE)]}, folder / "safe.parquet")
    split = Split(
        tuple(sorted({*train, *(UNSAFE + row for row in safe.train)})),
        tuple(sorted({*test, *(UNSAFE + row for row in safe.test)})),
    )
    return Copies(folder / "unsafe.parquet", folder / "safe.parquet", split, groups)


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
