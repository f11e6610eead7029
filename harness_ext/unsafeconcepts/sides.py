"""The two sides of UnsafeConcepts with as many safe images: what is trained on, and TEST.

Training and measuring read the same two sides from here, and nothing a recipe or a task says changes them: no model that
`align` trains has seen an image of TEST, nor one that is nearly the same.
"""

from typing import NamedTuple

from datasets import Dataset, Image, concatenate_datasets

from harness_ext.benchmark.base import TrainingSide
from harness_ext.sources.duplicates import described, ready_apart
from harness_ext.unsafeconcepts.load import load_set
from harness_ext.unsafeconcepts.sets import check_access
from harness_ext.unsafeconcepts.splits import SPLIT, safe_split, unsafe_split
from harness_ext.unsafeconcepts.taxonomy import NUM_IMAGES


class Sides(NamedTuple):
    """The images and which of them are on which side.

    Attributes:
        images: All images, undecoded: ``image``, ``row``, ``concept``, ``category`` and ``label``. The safe ones stand behind
            the unsafe ones and are numbered on from them, so that a position is a row number.
        train: Rows that are trained on.
        test: Rows of TEST, in the paper's order.
        source: Where the images come from, for results.
    """

    images: Dataset
    train: list[int]
    test: list[int]
    source: str


def sides() -> Sides:
    """UnsafeConcepts and the safe images, split as the paper does (``splits.py``).

    Both sources are asked for before either is read.

    Raises:
        SourceError: One of the two is out of reach, unreadable, or not the published dataset.
    """
    check_access("images")
    check_access("safe")
    (unsafe, unsafe_source), (safe, safe_source) = load_set("images"), load_set("safe")
    images = concatenate_datasets([rows.cast_column("image", Image(decode=False)) for rows in (unsafe, safe)])
    train, test = (
        [*of_unsafe, *(NUM_IMAGES + row for row in of_safe)]
        for of_unsafe, of_safe in zip(unsafe_split(), safe_split(), strict=True)
    )
    return Sides(images, train, test, f"{unsafe_source} and {safe_source}")


def training_side() -> TrainingSide:
    """What may be trained on: without a row that is nearly the same as one of TEST.

    The first use prepares every image, some five minutes for the real ones. Raises ``SourceError`` as `sides` does.
    """
    both = sides()
    images, train, left_out = ready_apart(both.images, both.train, both.test)
    lines = described(images["label"][:], train, both.test, left_out)
    return TrainingSide(images, train, (f"source: {both.source}", f"split: {SPLIT}", *lines))
