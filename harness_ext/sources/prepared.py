"""Images opened once each, and made ready: checked, upright and RGB, with the hash that finds near-duplicates.

The cache folder keeps what came of it, for as long as the files behind the rows keep their size and time of change.
"""

import functools
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import PIL.Image
from datasets import Dataset, Image, Value
from PIL.ExifTags import Base
from scipy.fft import dctn
from tqdm import tqdm

from harness_ext.common.errors import SourceError
from harness_ext.common.files import cache_dir, held, not_cached, sha256, write_cached
from harness_ext.sources.images import ImageError, strict_decoding, to_rgb

# Raised when `to_rgb` refuses what it used to accept, so that copies remembered as readable are opened again.
_CHECK_VERSION: Final = 1
# Raised with every change of what `ready` keeps, so that an older file in the cache is not taken for it.
_READY_VERSION: Final = 1
_UPRIGHT: Final = 1
_CELLS: Final = 32
_WAVES: Final = 8


def check_images(dataset: Dataset, name: str) -> None:
    """Raise ``SourceError`` naming the rows of `unreadable_images`."""
    if problems := unreadable_images(dataset, name):
        raise SourceError(f"{name}: {_listed(row for row, _ in problems)} cannot be read; {problems[0][1]}")


def unreadable_images(dataset: Dataset, name: str) -> list[tuple[int, ImageError]]:
    """The rows whose ``image`` a model could not be given, each with what is wrong with it.

    Opens every image completely, with a progress bar: some 50 ms of one core for 1000 x 1000 pixels, 75 s for the real
    dataset, shared by the cores. Success is remembered in the cache folder for as long as the files behind the dataset
    keep their size and time of change. Of several processes that start together one does the work.
    """
    files = files_behind(dataset)
    if not files:
        return _open_all(dataset)
    key = json.dumps([_CHECK_VERSION, PIL.__version__, len(dataset), _state(files)])
    remembered = cache_dir() / "images-checked" / sha256(key)
    if remembered.exists():
        return []
    lock = cache_dir() / "images-checked.lock"
    with held(lock, functools.partial(not_cached, lock)):
        problems = [] if remembered.exists() else _open_all(dataset)
        if not problems:
            write_cached(remembered, f"{len(dataset)} images of {name}\n".encode())
    return problems


def files_behind(dataset: Dataset) -> list[Path]:
    """The files that hold the dataset's rows and images: Arrow files, and image files that rows only point to."""
    files = {Path(file["filename"]) for file in dataset.cache_files}
    for chunk in dataset.data.column("image").chunks:
        pointed = chunk.field("path").filter(chunk.field("bytes").is_null())
        files.update(Path(path) for path in pointed.to_pylist() if path is not None)
    return sorted(files)


def _state(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def _open_all(dataset: Dataset) -> list[tuple[int, ImageError]]:
    undecoded = dataset.cast_column("image", Image(decode=False))

    def problem(row: int) -> ImageError | None:
        try:
            to_rgb(undecoded[row]["image"], row)
        except ImageError as error:
            return error
        return None

    rows = range(len(dataset))
    with strict_decoding(), ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = tqdm(pool.map(problem, rows), total=len(rows), desc="Checking images (once)", unit="image")
        return [(row, error) for row, error in zip(rows, outcomes, strict=True) if error is not None]


def _listed(rows: Iterable[int]) -> str:
    """``"row 3"``, ``"rows 3, 5"``, ``"rows 0, 1, 2, 3, 4 and 12 more"``."""
    numbers = list(rows)
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"row{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers[:5]))}{more}"


def ready(rows: Dataset, order: str = "") -> Dataset:
    """``rows`` with every ``image`` as RGB, whoever reads it, and a column ``hash``, 16 hexadecimal digits.

    A file stays as it is where any reader gets the same RGB image from it; others become PNG files. Needs a column
    ``row``, for messages. Some 100 ms an image of 1000 x 1000 pixels, once for as long as the files behind ``rows`` keep
    their size and time of change; ``order`` tells apart rows that have the same files in another order.

    Raises:
        ImageError: An image cannot be read.
        SourceError: The cache folder cannot be written to.
    """
    about = [_READY_VERSION, PIL.__version__, rows.column_names, len(rows), _state(files_behind(rows))]
    key = json.dumps([*about, order] if order else about)
    undecoded = rows.cast_column("image", Image(decode=False))
    features = undecoded.features.copy()
    features["image"], features["hash"] = Image(), Value("string")
    made = map_once(undecoded, _ready, "images-ready", key, features=features, desc="Preparing images (once)")
    return made.cast_column("image", Image(decode=False))


def map_once(rows: Dataset, make: Callable[[Any], dict[str, Any]], folder: str, key: str, **options: Any) -> Dataset:
    """``rows.map(make, **options)``, kept under ``key`` in a folder of the cache folder, and read from there the next time.

    Raises:
        SourceError: The cache folder cannot be written to.
    """
    kept = cache_dir() / folder / f"{sha256(key)}.arrow"
    try:
        kept.parent.mkdir(exist_ok=True)
        return rows.map(make, cache_file_name=str(kept), load_from_cache_file=True, **options)
    except OSError as error:
        raise not_cached(kept, error) from error


def undecoded(rows: Dataset, source: str) -> Dataset:
    """``rows`` with the column ``source``, their images undecoded.

    How an image of any kind becomes RGB is decided in one place, and only the file itself can tell that it was cut off.
    """
    return rows.add_column("source", [source] * len(rows)).cast_column("image", Image(decode=False))


def with_columns(rows: Dataset, columns: Mapping[str, list[Any]]) -> Dataset:
    """``rows`` with ``columns`` added, in their order."""
    for name, values in columns.items():
        rows = rows.add_column(name, values)
    return rows


def _ready(row: Mapping[str, Any]) -> dict[str, Any]:
    rgb = to_rgb(row["image"], row["row"])
    return {"image": {"bytes": _file(row["image"], rgb), "path": None}, "hash": f"{perceptual_hash(rgb):016x}"}


def _file(undecoded: Mapping[str, Any], rgb: PIL.Image.Image) -> bytes:
    """The bytes of an image file that reads as ``rgb``: the image's own where it does."""
    own: bytes = undecoded["bytes"] or Path(undecoded["path"]).read_bytes()
    opened = PIL.Image.open(io.BytesIO(own))
    turned = opened.getexif().get(Base.Orientation, _UPRIGHT) != _UPRIGHT
    if opened.mode == "RGB" and not opened.has_transparency_data and not turned:
        return own
    file = io.BytesIO()
    rgb.save(file, "PNG", compress_level=1)
    return file.getvalue()


def perceptual_hash(image: PIL.Image.Image) -> int:
    """64 bits that outlive scaling, recompression, a change of brightness or contrast, and a small overlay.

    Whether each of the 8 x 8 slowest waves of the image, in grey and 32 x 32 cells large, is stronger than their median.
    Mirrored, turned or cropped images are not recognised. Source: C. Zauner, "Implementation and Benchmarking of
    Perceptual Image Hash Functions", 2010, there the hash based on the discrete cosine transform.
    """
    grey = image.convert("L").resize((_CELLS, _CELLS), PIL.Image.Resampling.LANCZOS)
    waves = dctn(np.asarray(grey, dtype=np.float64))[:_WAVES, :_WAVES]
    return int.from_bytes(np.packbits(waves > np.median(waves)).tobytes(), "big")
