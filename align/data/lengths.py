"""Rows that are longer than ``max_length``: TRL would cut off their answers' ends, or all of them, in silence."""

import io
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import PIL.Image
from datasets import Dataset, Image
from PIL.ExifTags import Base as Exif
from tqdm import tqdm

from align.rendering import TARGETS, Renderer
from harness_ext.errors import UserError

# What EXIF calls an image that lies on its side.
_ON_ITS_SIDE = (5, 6, 7, 8)


def fitting(rows: Dataset, renderer: Renderer, max_length: int, leave_out: bool, bar: bool) -> Dataset:
    """``rows`` that have at most ``max_length`` tokens, image and answer included.

    Args:
        rows: Each once, with their targets.
        renderer: Makes the text that is trained on.
        max_length: In tokens; of DPO with the longer of the two answers.
        leave_out: Whether others are left out.
        bar: Whether the progress is shown.

    Raises:
        UserError: Some do not fit and ``leave_out`` is false, or none fits.
    """
    found = list(tqdm(lengths(rows, renderer), "lengths", len(rows), unit="row", disable=not bar, leave=False))
    fits = [at for at, length in enumerate(found) if length <= max_length]
    if len(fits) == len(rows):
        return rows
    if fits and leave_out:
        return rows.select(fits)
    longest = max(range(len(rows)), key=found.__getitem__)
    without = ", or add --leave_out_long true to train without them" if fits else ""
    raise UserError(
        f"{len(rows) - len(fits)} of {len(rows)} rows are longer than max_length {max_length}, with their image and answer; "
        f"the longest, row {rows['row'][longest]}, has {found[longest]} tokens, and its answer would be cut off.\n"
        f"Raise max_length or take it out{without}"
    )


def lengths(rows: Dataset, renderer: Renderer) -> Iterator[int]:
    """The tokens of each of ``rows``, with the longest of its answers.

    No image is decoded: how many tokens it becomes depends on its size alone, so that a blank one of each size, which the
    processor takes with a question, gives the number.
    """

    @lru_cache(None)
    def tokens(text: str, size: tuple[int, int] | None) -> int:
        images = {} if size is None else {"images": [[PIL.Image.new("RGB", size)]]}
        return len(renderer.tokens(text, **images))

    for row in rows.cast_column("image", Image(decode=False)):
        text = renderer.example(row)
        answers = [tokens(text[name], None) for name in TARGETS if name in text]
        yield tokens(text["prompt"], _size(row["image"])) + max(answers)


def _size(stored: dict[str, Any]) -> tuple[int, int]:
    """Width and height in pixels, as `datasets` decodes an image, stored as bytes or as a path: turned upright."""
    with PIL.Image.open(stored["path"] if stored["bytes"] is None else io.BytesIO(stored["bytes"])) as image:
        width, height = image.size
        return (height, width) if image.getexif().get(Exif.Orientation) in _ON_ITS_SIDE else (width, height)
