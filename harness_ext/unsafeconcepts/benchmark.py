"""UnsafeConcepts as a benchmark."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

from harness_ext.benchmark.base import Benchmark, ImageCollection, Need, TrainingSide
from harness_ext.records import Label
from harness_ext.unsafeconcepts.sets import check_access
from harness_ext.unsafeconcepts.splits import SPLIT
from harness_ext.unsafeconcepts.taxonomy import CONCEPTS, CONCEPTS_FILE, PublishedConcept

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

    from harness_ext.benchmark.options import Options

# The sets of images that each need is about, in the order in which they are asked for.
_SETS: Final = {
    "images": ("images",),
    "options": ("images",),
    "test": ("images", "safe"),
    "smid": ("smid",),
    "nsfw": ("nsfw",),
}


class UnsafeConcepts(Benchmark):
    """The paper's 75 unsafe concepts and 1,567 images, its questions, options and contexts, TEST, SMID and NSFW."""

    name = "unsafeconcepts"
    title = "UnsafeConcepts"
    reference = " (Qu, Backes, Zhang, USENIX Security 2025)"
    source_fact = "unsafeconcepts_source"
    offers = ("images", "options", "test", "contexts", "smid", "nsfw")
    concepts: tuple[PublishedConcept, ...] = CONCEPTS
    concepts_file = CONCEPTS_FILE
    split = SPLIT

    def check_access(self, needs: Collection[Need]) -> None:
        """See :class:`Benchmark`."""
        for name in self._sets(needs):
            check_access(name)

    def require(self, needs: Collection[Need]) -> None:
        """See :class:`Benchmark`."""
        from harness_ext.unsafeconcepts import images, load, published

        # First what is small: a missing file must not show after the images have been downloaded.
        if "options" in needs:
            published.published_options()
        if "contexts" in needs:
            published.published_contexts()
        if "test" in needs:
            images.both_sides()
        for name in self._sets(needs):
            if name != "safe":
                load.load_set(name)

    def rows(self, collection: ImageCollection, in_context: bool = False) -> "Dataset":
        """See :class:`Benchmark`."""
        from harness_ext.unsafeconcepts.images import rows_of

        return rows_of(collection, in_context)

    def image(self, collection: ImageCollection, row: int) -> "Image.Image":
        """See :class:`Benchmark`."""
        from harness_ext.unsafeconcepts.images import image_of

        return image_of(collection, row)

    def options(self, rows: "Dataset") -> Sequence["Options"]:
        """The published options of the rows."""
        from harness_ext.unsafeconcepts.published import published_options

        options = published_options()
        return [options[row] for row in rows["row"]]

    def in_context(self, rows: "Dataset", context: Label) -> list[str]:
        """The published questions, which are about unsafe concepts only."""
        from harness_ext.unsafeconcepts.published import published_contexts

        contexts = published_contexts()
        return [getattr(contexts[concept], context) for concept in rows["concept"]]

    def training_side(self, renders: int, first_render: int) -> TrainingSide:
        """See :class:`Benchmark`."""
        from harness_ext.unsafeconcepts.sides import training_side

        return training_side()

    @staticmethod
    def _sets(needs: Collection[Need]) -> list[str]:
        wanted = {name for need in needs for name in _SETS.get(need, ())}
        return [name for name in ("images", "safe", "smid", "nsfw") if name in wanted]
