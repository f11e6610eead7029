"""The images of both sources, by collection, as rows and as images.

A source has collections of images: the benchmark's or the stand-in's own (``all``), the held-out ones (``test``), and the
data sets that generalisation is measured on. A row's ``row`` is its place in its collection. The stand-in has no end of
images; a run asks about one block of them (harness_ext/glyphworld/rows.py).
"""

import functools
from typing import Final

from datasets import Dataset
from datasets import Image as ImageFeature
from PIL import Image

from harness_ext.benchmark.probes import ImageCollection
from harness_ext.benchmark.splits import SPLIT, unsafe_split
from harness_ext.benchmark.taxonomy import NUM_IMAGES
from harness_ext.common.provenance import record_provenance
from harness_ext.glyphworld import rows as glyphs
from harness_ext.sources.images import to_rgb
from harness_ext.sources.sets import load_set
from harness_ext.sources.sides import Sides, sides

_IN_BLOCKS: Final = ("glyphworld", "all")
# Only some of its images are asked about; the unsafe ones have the row numbers that they have in ``all``.
_SPLIT: Final = ("unsafeconcepts", "test")


def rows_of(source: str, name: ImageCollection) -> Dataset:
    """The rows that this run asks about, as the harness sees them: without the images, which it could write into its logs.

    Raises:
        SourceError: The images cannot be had, or are not the published ones.
    """
    block = 0
    if (source, name) == _IN_BLOCKS:
        block = glyphs.block_of_run()
        seeds = glyphs.seeds_of(block)
        record_provenance(glyphworld_source=f"test renders {seeds[0]} to {seeds[-1]} of each concept")
    rows = _collection(source, name, block).remove_columns("image")
    return rows.select(both_sides().test) if (source, name) == _SPLIT else rows


def unsafe_rows_of_test() -> Dataset:
    """As :func:`rows_of`, UnsafeConcepts' rows that are TEST's, in ascending order; the safe images are not needed."""
    record_provenance(test_split=SPLIT)
    return rows_of("unsafeconcepts", "all").select(sorted(unsafe_split().test))


def image_of(source: str, name: ImageCollection, row: int) -> Image.Image:
    """The image of a row, whatever block this run asks about, upright, in RGB."""
    block, place = 0, row
    if (source, name) == _IN_BLOCKS:
        block, place = divmod(row, glyphs.ROWS)
    if (source, name) == _SPLIT and row < NUM_IMAGES:
        name = "all"
    return to_rgb(_collection(source, name, block)[place]["image"], row)


@functools.cache
def _collection(source: str, name: ImageCollection, block: int) -> Dataset:
    """A collection, or a block of it, loaded once a process.

    Its images are undecoded: how an image of any kind becomes RGB is decided in one place, and only the file itself can tell
    that it was cut off.
    """
    rows = _loaded(source, name, block)
    return rows.add_column("source", [source] * len(rows)).cast_column("image", ImageFeature(decode=False))


def _loaded(source: str, name: ImageCollection, block: int) -> Dataset:
    if source == "glyphworld":
        return glyphs.held_out_rows() if name == "test" else glyphs.test_rows(block)
    if name == "test":
        return both_sides().images
    images, described = load_set("images" if name == "all" else name)
    record_provenance(**{f"{source if name == 'all' else name}_source": described})
    return images


@functools.cache
def both_sides() -> Sides:
    """UnsafeConcepts and the safe images, what is trained on and what is TEST; loaded once a process."""
    both = sides()
    record_provenance(test_source=both.source, test_split=SPLIT)
    return both
