"""The sets of images, each checked against what is published and loaded once a process.

Source: the hub datasets of the paper's authors (Qu, Backes, Zhang, USENIX Security 2025, arXiv 2507.11155), or local copies
(``sets.py``). Results are named after them, so a copy with a row missing, renamed or in another place is an error, not a
variant: the published answer options, and which images are TEST's, go by row number.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Final

from datasets import Dataset, Image

from harness_ext.common.errors import SourceError
from harness_ext.records import SAFE, UNSAFE
from harness_ext.sources.local import read_set, require_inside
from harness_ext.sources.prepared import check_images, with_columns
from harness_ext.unsafeconcepts.labelled import labelled_rows
from harness_ext.unsafeconcepts.sets import SETS
from harness_ext.unsafeconcepts.splits import NUM_SAFE_IMAGES
from harness_ext.unsafeconcepts.taxonomy import CONCEPTS, NUM_IMAGES


def load_set(name: str) -> tuple[Dataset, str]:
    """The rows of a set, one of ``SETS``, in published order, and their source's name for results.

    Columns: ``image`` (``datasets.Image``), ``row``, ``concept``, ``category``, ``label``. A safe image's concept is its
    class's name, and its row is numbered on from the unsafe ones. The source's name is ``repository@commit``, or the local
    copy's path. The first use of a copy opens every image once.

    Raises:
        SourceError: The source is out of reach, unreadable, or not the published dataset.
    """
    return _load(name, SETS[name].local_copy)


@functools.cache
def _load(name: str, _: Path | None) -> tuple[Dataset, str]:
    raw, source, folder = read_set(SETS[name])
    rows = _ROWS[name](raw, source).cast_column("image", Image())
    require_inside(rows, folder, source)
    check_images(rows, source)
    return rows, source


def _unsafe_rows(raw: Dataset, source: str) -> Dataset:
    check_rows(list(raw["unsafe_concept"]), list(raw["category"]), source)
    named = raw.select_columns(["image", "category", "unsafe_concept"]).rename_column("unsafe_concept", "concept")
    return with_columns(named, {"row": list(range(len(raw))), "label": [UNSAFE] * len(raw)})


def _safe_rows(raw: Dataset, source: str) -> Dataset:
    safe, count = SETS["safe"], len(raw)
    if count != NUM_SAFE_IMAGES:
        raise SourceError(
            f"{source}: expected the {NUM_SAFE_IMAGES} rows of {safe.repo}, found {count}; which of them are TEST's "
            "follows from their number and order",
            safe.no_copy,
        )
    for row, concept in enumerate(raw["concept"]):
        if not isinstance(concept, str) or not concept:
            raise SourceError(f"{source}, row {row}: expected a class's name under 'concept', found {concept!r}")
    numbers = list(range(NUM_IMAGES, NUM_IMAGES + count))
    return with_columns(
        raw.select_columns(["image", "concept"]),
        {"category": [safe.title] * count, "row": numbers, "label": [SAFE] * count},
    )


_ROWS: Final[Mapping[str, Callable[[Dataset, str], Dataset]]] = {
    "images": _unsafe_rows,
    "safe": _safe_rows,
    "smid": functools.partial(labelled_rows, SETS["smid"].title),
    "nsfw": functools.partial(labelled_rows, SETS["nsfw"].title),
}


def check_rows(concepts: Sequence[str], categories: Sequence[str], name: str) -> None:
    """Raise ``SourceError``, naming the first row that differs, unless the rows are those of the taxonomy, in its order.

    ``concepts`` and ``categories`` hold one value a row.
    """
    found = list(zip(concepts, categories, strict=True))
    published = [(concept.name, concept.category) for concept in CONCEPTS for _ in range(concept.images)]
    for row, (given, expected) in enumerate(zip_longest(found, published, fillvalue="no row")):
        if given != expected:
            raise SourceError(
                f"{name}: expected the {NUM_IMAGES} rows of {SETS['images'].repo} in their published order, found "
                f"{len(found)}; row {row}: expected {expected}, found {given}"
            )
