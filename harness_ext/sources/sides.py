"""The two sides of UnsafeConcepts with as many safe images: what is trained on, and TEST.

Training and measuring read the same two sides from here, and nothing a recipe or a task says changes them: no model that
`align` trains has seen an image of TEST, nor one that is nearly the same.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from datasets import Dataset, Image, concatenate_datasets
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from harness_ext.benchmark.splits import Split, split_by_concept, split_safe
from harness_ext.common.errors import UserError
from harness_ext.records import SAFE
from harness_ext.sources.access import SETS, check_access
from harness_ext.sources.prepared import ready, with_columns
from harness_ext.sources.safe_images import load_safe_images
from harness_ext.sources.unsafeconcepts import load_unsafeconcepts

# Fixed once, because TEST is part of the instrument: with another seed, or another notion of alike, a model would be
# measured on images that another was trained on.
SPLIT_SEED: Final = 42
DUPLICATE_BITS: Final = 4


class Sides(NamedTuple):
    """The images and which of them are on which side.

    Attributes:
        images: All images, undecoded: ``image``, ``row``, ``concept``, ``category``, ``label`` and ``hash``. The safe ones
            stand behind the unsafe ones and are numbered on from them.
        train: Positions in ``images`` of those that are trained on, in ascending order.
        test: Positions of those that are not.
        group_sizes: How many images each group of near-duplicates has, largest first; an image without any is no group.
        moved: How many images changed sides, to be with their group.
        source: Where the images come from, for results.
    """

    images: Dataset
    train: list[int]
    test: list[int]
    group_sizes: list[int]
    moved: int
    source: str


def sides(seed: int = SPLIT_SEED, bits: int = DUPLICATE_BITS) -> Sides:
    """Split UnsafeConcepts and the safe images 80/20 by concept, and keep near-duplicates on one side.

    Both sources are asked for before either is read. The first use prepares every image, some five minutes for the real
    ones; the cache folder keeps what came of it.

    Args:
        seed: Of the split.
        bits: Images whose 64-bit perceptual hashes differ by no more are near-duplicates.

    Raises:
        SourceError: One of the two is out of reach, unreadable, or not the published dataset.
        UserError: There are too few safe images.
    """
    check_access("images")
    check_access("safe")
    (unsafe, unsafe_source), (safe, safe_source) = load_unsafeconcepts(), load_safe_images()
    split = split_by_concept(unsafe["concept"][:], seed)
    of_safe = split_safe(len(safe), split, seed)
    _require_as_many(of_safe, split, f"{safe_source} has {len(safe)} images")

    images = concatenate_datasets([ready(unsafe), ready(_labelled(safe, first=len(unsafe)))])
    train = {*split.train, *(len(unsafe) + at for at in of_safe.train)}
    chosen = sorted(train.union(split.test, (len(unsafe) + at for at in of_safe.test)))
    hashes = images["hash"][:]
    group = groups([int(hashes[at], 16) for at in chosen], bits).tolist()
    before = [at in train for at in chosen]
    after = keep_together(before, group)
    return Sides(
        images,
        _positions(chosen, after, True),
        _positions(chosen, after, False),
        sorted((size for size in Counter(group).values() if size > 1), reverse=True),
        sum(was is not now for was, now in zip(before, after, strict=True)),
        f"{unsafe_source} and {safe_source}",
    )


def _positions(chosen: Sequence[int], in_train: Sequence[bool], side: bool) -> list[int]:
    return [at for at, train in zip(chosen, in_train, strict=True) if train is side]


def _require_as_many(safe: Split, unsafe: Split, found: str) -> None:
    if len(safe.train) < len(unsafe.train) or len(safe.test) < len(unsafe.test):
        raise UserError(
            f"expected as many safe images as unsafe ones, {len(unsafe.train)} to train on and {len(unsafe.test)} for TEST; "
            f"{found}, of which {len(safe.train)} and {len(safe.test)}: the copy is not complete"
        )


def _labelled(safe: Dataset, first: int) -> Dataset:
    """Safe images in the columns of the unsafe ones, numbered from ``first``."""
    columns: dict[str, list[Any]] = {
        "category": [SETS["safe"].title] * len(safe),
        "row": list(range(first, first + len(safe))),
        "label": [SAFE] * len(safe),
    }
    return with_columns(safe, columns).cast_column("image", Image(decode=False))


# --- near-duplicates: no image is tested on that is nearly one that was trained on -------------------------------------


def groups(hashes: Sequence[int], bits: int) -> npt.NDArray[np.int32]:
    """The number of each image's group, shape (N,): hashes that differ by at most ``bits`` share one, in chains too."""
    values = np.array(hashes, dtype=np.uint64)
    near = [np.flatnonzero(np.bitwise_count(values[at] ^ values[at:]) <= bits) + at for at in range(len(values))]
    ends = np.concatenate(near) if near else np.array([], np.int64)
    starts = np.repeat(np.arange(len(values)), [len(each) for each in near])
    graph = coo_array((np.ones(len(ends), bool), (starts, ends)), shape=(len(values), len(values)))
    return connected_components(graph, directed=False)[1]


def keep_together(in_train: Sequence[bool], group: Sequence[int]) -> list[bool]:
    """The sides of images, a group's all on the side of most of it, on the training side where both have as many."""
    votes: dict[int, int] = {}
    for number, train in zip(group, in_train, strict=True):
        votes[number] = votes.get(number, 0) + (1 if train else -1)
    return [votes[number] >= 0 for number in group]
