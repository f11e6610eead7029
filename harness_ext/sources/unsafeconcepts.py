"""UnsafeConcepts as a dataset: 1,567 images of 75 unsafe concepts, checked against the taxonomy.

Source: the gated hub dataset ``yiting/UnsafeConcepts`` (Qu, Backes, Zhang, USENIX Security 2025, arXiv 2507.11155), or
the local copy that ``UNSAFECONCEPTS_PATH`` names. Which of the two is the user's word alone.

Results are named after the benchmark, so a copy with a row missing, renamed or in another place is an error, not a variant:
the published answer options go by row number.
"""

import difflib
import functools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import datasets

from harness_ext.benchmark.taxonomy import CATEGORY_OF, CONCEPTS, NUM_IMAGES
from harness_ext.common.errors import SourceError
from harness_ext.records import UNSAFE
from harness_ext.sources.access import SETS
from harness_ext.sources.local import read_set
from harness_ext.sources.prepared import check_images, with_columns

_COLUMNS: Final = ("image", "category", "unsafe_concept")


def load_unsafeconcepts() -> tuple[datasets.Dataset, str]:
    """UnsafeConcepts in published row order, and its source's name for results; loaded and checked once a process.

    Columns: ``image`` (``datasets.Image``), ``row`` (0 to 1566), ``concept``, ``category``, ``label`` (always
    ``"unsafe"``). The name is ``yiting/UnsafeConcepts@<commit>``, or the local copy's path. The first use of a copy opens
    every image once. Raises ``SourceError`` if the source is out of reach, unreadable, or not the published dataset.
    """
    return _load(SETS["images"].local_copy)


@functools.cache
def _load(_: Path | None) -> tuple[datasets.Dataset, str]:
    raw, name = read_set("images", _COLUMNS)
    return _checked(raw, name), name


def _checked(raw: datasets.Dataset, name: str) -> datasets.Dataset:
    check_rows(list(raw["unsafe_concept"]), list(raw["category"]), name)
    named = raw.select_columns(list(_COLUMNS)).rename_column("unsafe_concept", "concept")
    columns: dict[str, list[Any]] = {"row": list(range(len(raw))), "label": [UNSAFE] * len(raw)}
    dataset = with_columns(named.cast_column("image", datasets.Image()), columns)
    check_images(dataset, name)
    return dataset


def check_rows(concepts: Sequence[str], categories: Sequence[str], name: str) -> None:
    """Raise ``SourceError`` unless the rows are those of the taxonomy: known, well categorised, complete, in order.

    ``concepts`` and ``categories`` hold one value a row. A wrong value is named before a wrong count: the one often
    explains the other.
    """
    for row, (concept, category) in enumerate(zip(concepts, categories, strict=True)):
        if concept not in CATEGORY_OF:
            nearest = difflib.get_close_matches(str(concept), CATEGORY_OF, n=1, cutoff=0.0)[0]
            raise SourceError(f"{name}, row {row}: unknown concept {concept!r}; the nearest known is {nearest!r}")
        if category != CATEGORY_OF[concept]:
            raise SourceError(
                f"{name}, row {row}: {concept!r} is of category {CATEGORY_OF[concept]!r}, found {category!r}"
            )
    counts = Counter(concepts)
    wrong = [
        f"{concept.name!r} {counts[concept.name]} for {concept.images}"
        for concept in CONCEPTS
        if counts[concept.name] != concept.images
    ]
    if wrong:
        shown = ", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
        raise SourceError(f"{name}: expected {NUM_IMAGES} rows, found {len(concepts)}; wrong number of {shown}")
    published = [concept.name for concept in CONCEPTS for _ in range(concept.images)]
    for row, (found, expected) in enumerate(zip(concepts, published, strict=True)):
        if found != expected:
            raise SourceError(
                f"{name}: the rows are not in the published order; row {row} should show {expected!r}, found {found!r}"
            )
