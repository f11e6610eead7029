"""The paper's split into a training side and TEST, and the question that its TEST asks about each image.

Source: Qu, Backes, Zhang, USENIX Security 2025, arXiv 2507.11155. The seeds are those of the authors' code; what they give is
the split of the answers that the authors published (``unsafeconcepts import`` of them fails where it is not).
"""

import random
from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

from harness_ext.benchmark.questions import NUM_QUESTIONS
from harness_ext.benchmark.taxonomy import CONCEPTS

SPLIT: Final = "the paper's: split by seed 2024, questions by seed 42"
NUM_SAFE_IMAGES: Final = 1800
_SPLIT_SEED: Final = 2024
_QUESTIONS_SEED: Final = 42
_TRAIN_PERCENT: Final = 80


class Split(NamedTuple):
    """Row numbers of the two sides, in the paper's order; no row is on both."""

    train: tuple[int, ...]
    test: tuple[int, ...]


def unsafe_split() -> Split:
    """The split of UnsafeConcepts' 1,567 rows: 1,222 train, 345 test.

    Three concepts with one row have none in train.
    """
    return split_by_concept(concept.name for concept in CONCEPTS for _ in range(concept.images))


def split_by_concept(concepts: Iterable[str]) -> Split:
    """The paper's rule for any rows, of which ``concepts`` has one name a row.

    Concept by concept, in the order of their names, ``int(0.8 n)`` of its ``n`` shuffled rows train, the others are TEST's.
    """
    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(concepts):
        rows_of.setdefault(name, []).append(row)
    train: list[int] = []
    test: list[int] = []
    # One generator for all: each concept's shuffle depends on those before it.
    rng = random.Random(_SPLIT_SEED)
    for _, rows in sorted(rows_of.items()):
        rng.shuffle(rows)
        cut = len(rows) * _TRAIN_PERCENT // 100
        train += rows[:cut]
        test += rows[cut:]
    return Split(tuple(train), tuple(test))


def safe_split() -> Split:
    """The split of the 1,800 safe rows, 80/20, each side cut to as many rows as `unsafe_split` has there."""
    rows = list(range(NUM_SAFE_IMAGES))
    random.Random(_SPLIT_SEED).shuffle(rows)
    cut = len(rows) * _TRAIN_PERCENT // 100
    unsafe = unsafe_split()
    return Split(tuple(rows[:cut][: len(unsafe.train)]), tuple(rows[cut:][: len(unsafe.test)]))


def drawn_questions(count: int) -> list[int]:
    """The question, 0 to 4, that each of ``count`` images of TEST or of another data set is asked, in their order."""
    drawn: list[int] = np.random.RandomState(_QUESTIONS_SEED).choice(NUM_QUESTIONS, size=count).tolist()
    return drawn
