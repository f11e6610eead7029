"""Which of a benchmark's images are trained on and which are TEST, and the question that TEST asks about each image.

The rules are the paper's. Source: Qu, Backes, Zhang, USENIX Security 2025, arXiv 2507.11155.
"""

import random
from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

from harness_ext.benchmark.questions import NUM_QUESTIONS

SPLIT_SEED: Final = 2024
TRAIN_PERCENT: Final = 80
_QUESTIONS_SEED: Final = 42


class Split(NamedTuple):
    """Row numbers of the two sides, in the order of the split; no row is on both."""

    train: tuple[int, ...]
    test: tuple[int, ...]


def split_by_concept(concepts: Iterable[str]) -> Split:
    """The split of rows, given the concept of each.

    Concept by concept, in the order of their names, ``int(0.8 n)`` of its ``n`` rows train, the rest are TEST's. So a concept
    with one row has none in train.
    """
    rows_of: dict[str, list[int]] = {}
    for row, concept in enumerate(concepts):
        rows_of.setdefault(concept, []).append(row)
    train: list[int] = []
    test: list[int] = []
    # One generator for all: each concept's shuffle depends on those before it.
    rng = random.Random(SPLIT_SEED)
    for _, rows in sorted(rows_of.items()):
        rng.shuffle(rows)
        cut = len(rows) * TRAIN_PERCENT // 100
        train += rows[:cut]
        test += rows[cut:]
    return Split(tuple(train), tuple(test))


def drawn_questions(count: int, questions: int = NUM_QUESTIONS) -> list[int]:
    """Which of ``questions`` each of ``count`` images of TEST or of another data set is asked, in their order."""
    drawn: list[int] = np.random.RandomState(_QUESTIONS_SEED).choice(questions, size=count).tolist()
    return drawn
