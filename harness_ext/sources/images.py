"""The one place where an image of any kind becomes what a model is shown: upright RGB, 8 bits a channel.

Choices, for they change what a model sees:

- EXIF orientation is applied. Of an animation the first frame is shown.
- Transparency is composited on white, as on a web page; dropping the alpha channel would show what is hidden.
- 16-bit grey is scaled to 8 bits over its full range (65535 is white); Pillow's own conversion would clip it at 255.
- Values without a defined white (floats, 32-bit integers beyond 16 bits) are refused.
- Only files of the ``FORMATS`` are opened: Pillow would hand others, as EPS, to programs outside of this process.
- Images above ``MAX_PIXELS`` are refused rather than shrunk unseen. Colour profiles are not applied.
"""

import io
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from harness_ext.common.errors import SourceError

# 64 megapixels, a 192 MB array: sixty times the benchmark's images, and below Pillow's own bomb limit of 89 megapixels.
MAX_PIXELS: Final = 64 * 10**6
FORMATS: Final = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
# What Pillow calls a JPEG with more images in it.
_OF_JPEG: Final = "MPO"
_WHITE_16_BIT: Final = 65535


class ImageError(SourceError):
    """An image that cannot be shown to a model; the message begins with its row."""


def to_rgb(image: Image.Image | Mapping[str, Any], row: int) -> Image.Image:
    """A new RGB image, upright and opaque.

    ``image`` is a Pillow image, or undecoded as ``datasets.Image(decode=False)`` makes it, ``{"bytes", "path"}``,
    where the bytes count if there are any. Only the undecoded form can tell a truncated file from a whole one, for
    lmms-eval tells Pillow to fill what is missing with grey. Raises ``ImageError``, naming ``row``, if the file is
    missing, truncated or no image, is larger than ``MAX_PIXELS``, or has values without a defined white.
    """
    try:
        with strict_decoding():
            opened = _of_format(image) if isinstance(image, Image.Image) else _open(image)
            if opened.width * opened.height > MAX_PIXELS:
                raise ImageError(
                    f"row {row}: an image of {opened.width} x {opened.height} pixels; at most {MAX_PIXELS} are accepted"
                )
            return _opaque(ImageOps.exif_transpose(opened))
    except ImageError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise ImageError(f"row {row}: the image cannot be read ({type(error).__name__}: {error})") from error


def _open(undecoded: Mapping[str, Any]) -> Image.Image:
    if undecoded["bytes"] is not None:
        return open_image(undecoded["bytes"])
    if undecoded["path"] is None:
        raise ValueError("neither bytes nor a path")
    with open(undecoded["path"], "rb") as file:  # not by path: Pillow would keep the file open
        return open_image(file.read())


def open_image(content: bytes) -> Image.Image:
    """An image file of one of the ``FORMATS``, not decoded yet. Raises ``UnidentifiedImageError`` for any other."""
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise UnidentifiedImageError(f"expected a file of {', '.join(FORMATS)}") from error


def _of_format(image: Image.Image) -> Image.Image:
    # One that was made in this process has no format.
    if image.format not in (None, _OF_JPEG, *FORMATS):
        raise UnidentifiedImageError(f"expected a file of {', '.join(FORMATS)}, found {image.format}")
    return image


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("floating-point values have no defined white")
    if image.mode.startswith("I"):
        return _from_16_bit(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    colours = image.convert("RGBA")
    white = Image.new("RGBA", colours.size, "white")
    return Image.alpha_composite(white, colours).convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > _WHITE_16_BIT:
        raise ValueError(f"integer values from {values.min()} to {values.max()}, expected 0 to {_WHITE_16_BIT}")
    if (transparent := image.info.get("transparency")) is not None:
        values[values == transparent] = _WHITE_16_BIT
    grey = np.rint(values * (255 / _WHITE_16_BIT)).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


_strict_lock: Final = Lock()
_strict_depth = 0
_lenient_before = False


@contextmanager
def strict_decoding() -> Iterator[None]:
    """Within it, Pillow refuses truncated files. Its flag is the process's, so users in all threads are counted."""
    global _strict_depth, _lenient_before
    with _strict_lock:
        if _strict_depth == 0:
            _lenient_before = ImageFile.LOAD_TRUNCATED_IMAGES
            ImageFile.LOAD_TRUNCATED_IMAGES = False
        _strict_depth += 1
    try:
        yield
    finally:
        with _strict_lock:
            _strict_depth -= 1
            if _strict_depth == 0:
                ImageFile.LOAD_TRUNCATED_IMAGES = _lenient_before
