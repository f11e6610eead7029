"""The benchmark's images by collection, loaded once a process, as rows and as images.

A row's ``row`` is its place in its collection; TEST's unsafe images have the row numbers that they have in ``all``.
"""

import functools

from datasets import Dataset
from PIL import Image

from harness_ext.benchmark.base import ImageCollection
from harness_ext.common.provenance import record_provenance
from harness_ext.sources.images import to_rgb
from harness_ext.sources.prepared import undecoded
from harness_ext.unsafeconcepts.load import load_set
from harness_ext.unsafeconcepts.sides import Sides, sides
from harness_ext.unsafeconcepts.splits import SPLIT, unsafe_split
from harness_ext.unsafeconcepts.taxonomy import NUM_IMAGES

NAME = "unsafeconcepts"


def rows_of(name: ImageCollection, in_context: bool = False) -> Dataset:
    """The rows of a collection without the images, which the harness could write into its logs.

    Only unsafe concepts have questions in a context, and the safe images are not needed for them. Raises ``SourceError``
    where the images cannot be had, or are not the published ones.
    """
    if name != "test":
        return _collection(name).remove_columns("image")
    if in_context:
        record_provenance(test_split=SPLIT)
        return rows_of("all").select(sorted(unsafe_split().test))
    return _collection(name).remove_columns("image").select(both_sides().test)


def image_of(name: ImageCollection, row: int) -> Image.Image:
    """The image of a row, upright, in RGB."""
    if name == "test" and row < NUM_IMAGES:
        name = "all"
    return to_rgb(_collection(name)[row]["image"], row)


@functools.cache
def _collection(name: ImageCollection) -> Dataset:
    if name == "test":
        return undecoded(both_sides().images, NAME)
    images, described = load_set("images" if name == "all" else name)
    record_provenance(**{f"{NAME if name == 'all' else name}_source": described})
    return undecoded(images, NAME)


@functools.cache
def both_sides() -> Sides:
    """The benchmark and the safe images, what is trained on and what is TEST; loaded once a process."""
    both = sides()
    record_provenance(test_source=both.source, test_split=SPLIT)
    return both
