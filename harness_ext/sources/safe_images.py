"""Safe images, to train and test on beside the unsafe ones: photographs of ImageNet classes.

Source: the hub dataset ``yiting/imagenet_1k_unique_class`` of the paper's authors (Qu, Backes, Zhang, USENIX Security 2025,
arXiv 2507.11155), which is not gated, or the local copy that ``UNSAFECONCEPTS_SAFE_PATH`` names. Which of them are TEST's
follows from their number and order, so a copy with another number of rows is an error, not a variant.
"""

import functools
from pathlib import Path
from typing import Final

import datasets

from harness_ext.benchmark.splits import NUM_SAFE_IMAGES
from harness_ext.common.errors import SourceError
from harness_ext.sources.access import SETS
from harness_ext.sources.local import read_set
from harness_ext.sources.prepared import check_images

_COLUMNS: Final = ("image", "concept")


def load_safe_images() -> tuple[datasets.Dataset, str]:
    """The safe images (columns ``image`` and ``concept``, the class's name), and their source's name for results.

    Loaded and checked once a process; the first use of a copy opens every image once. Raises ``SourceError`` if they are out
    of reach, unreadable, or not as many as published.
    """
    return _load(SETS["safe"].local_copy)


@functools.cache
def _load(_: Path | None) -> tuple[datasets.Dataset, str]:
    raw, name = read_set("safe", _COLUMNS)
    if len(raw) != NUM_SAFE_IMAGES:
        raise SourceError(
            f"{name}: expected the {NUM_SAFE_IMAGES} rows of {SETS['safe'].repo}, found {len(raw)}; which of them are TEST's "
            "follows from their number and order",
            SETS["safe"].no_copy,
        )
    for row, concept in enumerate(raw["concept"]):
        if not isinstance(concept, str) or not concept:
            raise SourceError(f"{name}, row {row}: expected a class's name under 'concept', found {concept!r}")
    rows = raw.select_columns(list(_COLUMNS)).cast_column("image", datasets.Image())
    check_images(rows, name)
    return rows, name
