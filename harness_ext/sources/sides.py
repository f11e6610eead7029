"""The two sides of UnsafeConcepts with as many safe images: what is trained on, and TEST.

Training and measuring read the same two sides from here, and nothing a recipe or a task says changes them: no model that
`align` trains has seen an image of TEST, nor one that is nearly the same.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from datasets import Dataset, Image, concatenate_datasets

from harness_ext.benchmark.splits import safe_split, unsafe_split
from harness_ext.benchmark.taxonomy import NUM_IMAGES
from harness_ext.sources.access import check_access
from harness_ext.sources.prepared import ready
from harness_ext.sources.sets import load_set

# Fixed once: with another notion of alike, a model would be measured on images that another was trained on.
DUPLICATE_BITS: Final = 4
_PAIRS_AT_ONCE: Final = 4_000_000


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


class NearDuplicate(NamedTuple):
    """A row of the training side, the row of TEST that it is nearly the same as, and how many of 64 bits differ."""

    row: int
    test: int
    bits: int


def sides() -> Sides:
    """UnsafeConcepts and the safe images, split as the paper does (``benchmark/splits.py``).

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


def training_side() -> tuple[Sides, list[NearDuplicate]]:
    """The sides with their images made ready (``prepared.ready``), and what is left out of ``train``.

    A row that is nearly the same as one of TEST is left out; TEST never changes. The first use prepares every image, some
    five minutes for the real ones; the cache folder keeps what came of it. Raises ``SourceError`` as `sides` does.
    """
    both = sides()
    images = ready(both.images)
    left_out = near_duplicates(both.train, both.test, [int(each, 16) for each in images["hash"]])
    rows = {each.row for each in left_out}
    return both._replace(images=images, train=[row for row in both.train if row not in rows]), left_out


def near_duplicates(train: Sequence[int], test: Sequence[int], hashes: Sequence[int]) -> list[NearDuplicate]:
    """The rows of ``train`` whose perceptual hash is near to that of a row of ``test``, each with the nearest.

    Near: at most ``DUPLICATE_BITS`` of the 64 bits differ. ``hashes`` holds one hash a row.
    """
    values, others = np.array(hashes, dtype=np.uint64), np.array(test, dtype=np.int64)
    found: list[NearDuplicate] = []
    # In parts: the pairs of 100,000 images would fill the memory.
    part = max(1, _PAIRS_AT_ONCE // max(1, len(others)))
    for start in range(0, len(train) if len(others) else 0, part):
        rows = np.array(train[start : start + part], dtype=np.int64)
        apart = np.bitwise_count(values[rows][:, None] ^ values[others])
        nearest, bits = apart.argmin(axis=1), apart.min(axis=1)
        for at in np.flatnonzero(bits <= DUPLICATE_BITS):
            found.append(NearDuplicate(int(rows[at]), int(others[nearest[at]]), int(bits[at])))
    return found
