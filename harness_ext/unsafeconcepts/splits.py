"""The paper's split of its own images and of the safe ones into a training side and TEST.

Source: Qu, Backes, Zhang, USENIX Security 2025, arXiv 2507.11155. The seeds are those of the authors' code; what they give is
the split of the answers that the authors published (``unsafeconcepts import`` of them fails where it is not).
"""

import random
from typing import Final

from harness_ext.benchmark.splits import SPLIT_SEED, TRAIN_PERCENT, Split, split_by_concept
from harness_ext.unsafeconcepts.taxonomy import CONCEPTS

SPLIT: Final = "the paper's: split by seed 2024, questions by seed 42"
NUM_SAFE_IMAGES: Final = 1800


def unsafe_split() -> Split:
    """The split of UnsafeConcepts' 1,567 rows: 1,222 train, 345 test. Three concepts with one row have none in train."""
    return split_by_concept(concept.name for concept in CONCEPTS for _ in range(concept.images))


def safe_split() -> Split:
    """The split of the 1,800 safe rows, 80/20, each side cut to as many rows as `unsafe_split` has there."""
    rows = list(range(NUM_SAFE_IMAGES))
    random.Random(SPLIT_SEED).shuffle(rows)
    cut = len(rows) * TRAIN_PERCENT // 100
    unsafe = unsafe_split()
    return Split(tuple(rows[:cut][: len(unsafe.train)]), tuple(rows[cut:][: len(unsafe.test)]))
