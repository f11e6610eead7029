"""Images made ready once and kept in the cache folder: RGB and upright, with the hash that finds near-duplicates."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import PIL.Image
from datasets import Dataset, Image, Value
from PIL.ExifTags import Base

from harness_ext.benchmark.check import files_behind
from harness_ext.benchmark.duplicates import perceptual_hash
from harness_ext.benchmark.images import to_rgb
from harness_ext.common.files import cache_dir, not_cached, sha256

# Raised with every change of what is kept, so that what is there already is not taken for it.
_VERSION: Final = 1
_UPRIGHT: Final = 1


def ready(rows: Dataset) -> Dataset:
    """``rows`` with every ``image`` as RGB, whoever reads it, and a column ``hash``, 16 hexadecimal digits.

    A file stays as it is where any reader gets the same RGB image from it; others become PNG files. Needs a column
    ``row``, for messages. Some 100 ms an image of 1000 x 1000 pixels, once for as long as the files behind ``rows`` keep
    their size and time of change.

    Raises:
        ImageError: An image cannot be read.
        SourceError: The cache folder cannot be written to.
    """
    state = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files_behind(rows)]
    key = json.dumps([_VERSION, PIL.__version__, rows.column_names, len(rows), state])
    kept = cache_dir() / "images-ready" / f"{sha256(key)}.arrow"
    undecoded = rows.cast_column("image", Image(decode=False))
    features = undecoded.features.copy()
    features["image"], features["hash"] = Image(), Value("string")
    try:
        kept.parent.mkdir(exist_ok=True)
        made = undecoded.map(
            _ready,
            features=features,
            cache_file_name=str(kept),
            load_from_cache_file=True,
            desc="Preparing images (once)",
        )
    except OSError as error:
        raise not_cached(kept, error) from error
    return made.cast_column("image", Image(decode=False))


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
