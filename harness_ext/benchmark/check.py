"""Whether a source is the published dataset: its columns, its rows against the taxonomy, and every image readable.

Results are named after the benchmark, so a copy with a row missing, renamed or in another place is an error, not a
variant: the published answer options go by row number.
"""

import difflib
import functools
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import datasets
import PIL
from tqdm import tqdm

from harness_ext.benchmark.images import ImageError, strict_decoding, to_rgb
from harness_ext.benchmark.taxonomy import CATEGORY_OF, CONCEPTS, NUM_IMAGES
from harness_ext.common.errors import SourceError
from harness_ext.common.files import cache_dir, held, not_cached, sha256, write_cached

COLUMNS: Final = ("image", "category", "unsafe_concept")
# Raised when `to_rgb` refuses what it used to accept, so that copies remembered as readable are opened again.
_CHECK_VERSION: Final = 1


def check_columns(found: Sequence[str], name: str) -> None:
    """Raise ``SourceError`` unless all of ``image``, ``category`` and ``unsafe_concept`` are among the columns."""
    if missing := [column for column in COLUMNS if column not in found]:
        raise SourceError(f"{name}: missing column {', '.join(missing)}; found {', '.join(found) or 'none'}")


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


def check_images(dataset: datasets.Dataset, name: str) -> None:
    """Raise ``SourceError`` naming the rows whose ``image`` a model could not be given.

    Opens every image completely, with a progress bar: some 50 ms of one core for 1000 x 1000 pixels, 75 s for the real
    dataset, shared by the cores. Success is remembered in the cache folder for as long as the files behind the dataset
    keep their size and time of change. Of several processes that start together one does the work.
    """
    files = files_behind(dataset)
    if not files:
        _open_all(dataset, name)
        return
    state = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    key = json.dumps([_CHECK_VERSION, PIL.__version__, len(dataset), state])
    remembered = cache_dir() / "images-checked" / sha256(key)
    if remembered.exists():
        return
    lock = cache_dir() / "images-checked.lock"
    with held(lock, functools.partial(not_cached, lock)):
        if not remembered.exists():
            _open_all(dataset, name)
            write_cached(remembered, f"{len(dataset)} images of {name}\n".encode())


def files_behind(dataset: datasets.Dataset) -> list[Path]:
    """The files that hold the dataset's rows and images: Arrow files, and image files that rows only point to."""
    files = {Path(file["filename"]) for file in dataset.cache_files}
    for chunk in dataset.data.column("image").chunks:
        pointed = chunk.field("path").filter(chunk.field("bytes").is_null())
        files.update(Path(path) for path in pointed.to_pylist() if path is not None)
    return sorted(files)


def _open_all(dataset: datasets.Dataset, name: str) -> None:
    undecoded = dataset.cast_column("image", datasets.Image(decode=False))

    def problem(row: int) -> ImageError | None:
        try:
            to_rgb(undecoded[row]["image"], row)
        except ImageError as error:
            return error
        return None

    rows = range(len(dataset))
    with strict_decoding(), ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = tqdm(pool.map(problem, rows), total=len(rows), desc="Checking images (once)", unit="image")
        problems = [(row, error) for row, error in zip(rows, outcomes, strict=True) if error is not None]
    if problems:
        raise SourceError(f"{name}: {_listed(row for row, _ in problems)} cannot be read; {problems[0][1]}")


def _listed(rows: Iterable[int]) -> str:
    """``"row 3"``, ``"rows 3, 5"``, ``"rows 0, 1, 2, 3, 4 and 12 more"``."""
    numbers = list(rows)
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"row{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers[:5]))}{more}"
