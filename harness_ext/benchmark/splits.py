"""The split of the images into a training and a TEST side, for training on some and measuring on the others.

Source: Qu, Backes, Zhang, USENIX Security 2025, arXiv 2507.11155: 80 % of each concept's images to train, the rest to
test, and as many safe images as unsafe ones on each side. Which images go where is not published: the seed is ours.
"""

import random
from collections.abc import Sequence
from typing import Final, NamedTuple

_TRAIN_PERCENT: Final = 80


class Split(NamedTuple):
    """Row numbers of the two sides, each in ascending order; no row is on both."""

    train: tuple[int, ...]
    test: tuple[int, ...]


def _train_size(total: int) -> int:
    """The integer part of 0.8 × ``total``, without a rounding error of floats."""
    return total * _TRAIN_PERCENT // 100


def split_by_concept(concepts: Sequence[str], seed: int) -> Split:
    """Split rows by concept: of a concept with ``n`` rows ``int(0.8 n)`` train, the rest test.

    ``concepts`` holds one name a row. Every row is on one side; a concept with one row has none in train. The sides of
    UnsafeConcepts have 1,222 and 345 rows. Each concept is shuffled by itself: its split depends on the seed, its name
    and the order of its own rows, not on where they stand or on which other concepts there are.
    """
    rows_of: dict[str, list[int]] = {}
    for row, concept in enumerate(concepts):
        rows_of.setdefault(concept, []).append(row)
    train: list[int] = []
    test: list[int] = []
    for concept, rows in rows_of.items():
        random.Random(f"{seed}:{concept}").shuffle(rows)
        train += rows[: _train_size(len(rows))]
        test += rows[_train_size(len(rows)) :]
    return Split(tuple(sorted(train)), tuple(sorted(test)))


def split_safe(count: int, unsafe: Split, seed: int) -> Split:
    """Split ``count`` safe rows 80/20 and cut each side to the number of unsafe rows on that side, at random.

    Fewer safe rows than that are all kept: the sides are then not balanced, and the unsafe rows are never cut.
    """
    rows = list(range(count))
    random.Random(f"{seed}:safe").shuffle(rows)
    train, test = rows[: _train_size(count)], rows[_train_size(count) :]
    return Split(tuple(sorted(train[: len(unsafe.train)])), tuple(sorted(test[: len(unsafe.test)])))
