"""The two sides of UnsafeConcepts with as many safe images: what is trained on, and TEST."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from datasets import Dataset, Image, concatenate_datasets

from align.config import DataConfig
from align.data.duplicates import groups, keep_together
from align.data.images import ready
from harness_ext.benchmark.splits import Split, split_by_concept, split_safe
from harness_ext.errors import UserError

SAFE_CATEGORY: Final = "ImageNet"


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


def sides(config: DataConfig) -> Sides:
    """Split UnsafeConcepts and the safe images by ``config.data_seed``, and keep near-duplicates on one side.

    Both sources are asked for before either is read.

    Raises:
        SourceError: One of the two is out of reach, unreadable, or not the published dataset.
        UserError: There are too few safe images.
    """
    from harness_ext.benchmark.sources import check_access, describe, load_unsafeconcepts
    from harness_ext.benchmark.sources.safe_images import check_safe_access, load_safe_images

    check_access()
    check_safe_access()
    unsafe, (safe, safe_source) = load_unsafeconcepts(), load_safe_images()
    split = split_by_concept(unsafe["concept"][:], config.data_seed)
    of_safe = split_safe(len(safe), split, config.data_seed)
    _require_as_many(of_safe, split, f"{safe_source} has {len(safe)} images")

    images = concatenate_datasets([ready(unsafe), ready(_labelled(safe, first=len(unsafe)))])
    train = {*split.train, *(len(unsafe) + at for at in of_safe.train)}
    chosen = sorted(train.union(split.test, (len(unsafe) + at for at in of_safe.test)))
    hashes = images["hash"][:]
    group = groups([int(hashes[at], 16) for at in chosen], config.duplicate_bits).tolist()
    before = [at in train for at in chosen]
    after = keep_together(before, group)
    return Sides(
        images,
        _positions(chosen, after, True),
        _positions(chosen, after, False),
        sorted((size for size in Counter(group).values() if size > 1), reverse=True),
        sum(was is not now for was, now in zip(before, after, strict=True)),
        f"{describe()} and {safe_source}",
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
        "category": [SAFE_CATEGORY] * len(safe),
        "row": list(range(first, first + len(safe))),
        "label": ["safe"] * len(safe),
    }
    for name, values in columns.items():
        safe = safe.add_column(name, values)
    return safe.cast_column("image", Image(decode=False))
