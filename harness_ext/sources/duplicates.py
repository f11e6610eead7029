"""Images of a training side that are nearly the same as one of TEST."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from datasets import Dataset

from harness_ext.sources.prepared import ready

# Fixed once: with another notion of alike, a model would be measured on images that another was trained on.
DUPLICATE_BITS: Final = 4
_PAIRS_AT_ONCE: Final = 4_000_000


class NearDuplicate(NamedTuple):
    """A row of the training side, the row of TEST that it is nearly the same as, and how many of 64 bits differ."""

    row: int
    test: int
    bits: int


def ready_apart(
    images: Dataset, train: Sequence[int], test: Sequence[int], order: str = ""
) -> tuple[Dataset, list[int], list[NearDuplicate]]:
    """``images`` made ready (``prepared.ready``, which see for ``order``), ``train`` without near-duplicates, and these.

    A near-duplicate is nearly the same as a row of ``test``; TEST never changes. The first use prepares every image, some
    100 ms each; the cache folder keeps what came of it. Raises ``SourceError`` where an image cannot be read.
    """
    made = ready(images, order)
    left_out = near_duplicates(train, test, [int(each, 16) for each in made["hash"]])
    rows = {each.row for each in left_out}
    return made, [row for row in train if row not in rows], left_out


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


def described(
    labels: Sequence[str], train: Sequence[int], test: Sequence[int], left_out: Sequence[NearDuplicate]
) -> tuple[str, ...]:
    """The two sides in lines for a reader; ``labels`` holds the label of each row."""
    counts = [counted(labels[row] for row in rows) or "none" for rows in (train, test, [each.row for each in left_out])]
    return (
        f"sides: {len(train)} images to train on ({counts[0]}), {len(test)} for TEST ({counts[1]})",
        f"near-duplicates of TEST (at most {DUPLICATE_BITS} of 64 bits apart), left out of training: "
        f"{len(left_out)} ({counts[2]})",
        *(f"  row {each.row}: {each.bits} bits from row {each.test} of TEST" for each in left_out),
    )


def counted(values: Iterable[object]) -> str:
    """``"1222 safe, 1222 unsafe"``, or of numbers ``"490 of 0, 471 of 1, …"``."""
    counts = sorted(Counter(values).items(), key=lambda item: str(item[0]))
    return ", ".join(f"{count} of {value}" if isinstance(value, int) else f"{count} {value}" for value, count in counts)
