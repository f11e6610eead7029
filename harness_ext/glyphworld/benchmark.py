"""Glyphworld as a benchmark. It has no end of images: a run asks about one block of its test renders."""

import functools
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from harness_ext.benchmark.base import SCENE, Benchmark, ImageCollection, Need, TrainingSide
from harness_ext.common.errors import UserError
from harness_ext.common.provenance import record_provenance
from harness_ext.glyphworld.concepts import CONCEPTS, CONCEPTS_FILE, NEVER_SEEN, partners
from harness_ext.glyphworld.questions import CAPABILITIES, context_question
from harness_ext.records import Label

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

    from harness_ext.benchmark.options import Options

# Fixed once: options are part of the instrument, and every run must see the same ones.
_OPTIONS_SEED: Final = 0


class Glyphworld(Benchmark):
    """The embedded stand-in: 150 concepts shown as harmless glyphs, the published questions, and three abilities."""

    name = "glyphworld"
    title = "glyphworld"
    warning = "a stand-in, not the benchmark"
    gated = False
    trained_images_in_all = False
    offers = ("images", "options", "test", "contexts", "capability")
    concepts = CONCEPTS
    concepts_file = CONCEPTS_FILE
    capabilities = CAPABILITIES

    def check_access(self, needs: Collection[Need]) -> None:
        """Whether there is the block that the environment names."""
        from harness_ext.glyphworld.rows import block_of_run

        block_of_run()

    def require(self, needs: Collection[Need]) -> None:
        """Nothing: its images are drawn."""

    def rows(self, collection: ImageCollection, in_context: bool = False) -> "Dataset":
        """See :class:`Benchmark`; all of its concepts have questions in a context."""
        from harness_ext.glyphworld.rows import block_of_run, seeds_of

        block = 0
        if collection == "all":
            block = block_of_run()
            seeds = seeds_of(block)
            record_provenance(glyphworld_source=f"test renders {seeds[0]} to {seeds[-1]} of each concept")
        return _collection(collection, block).remove_columns("image")

    def image(self, collection: ImageCollection, row: int) -> "Image.Image":
        """The image of a row, whatever block this run asks about."""
        from harness_ext.glyphworld.rows import ROWS
        from harness_ext.sources.images import to_rgb

        block, place = divmod(row, ROWS) if collection == "all" else (0, row)
        return to_rgb(_collection(collection, block)[place]["image"], row)

    def options(self, rows: "Dataset") -> Sequence["Options"]:
        """Generated options."""
        from harness_ext.benchmark.options import generated_options

        return generated_options(rows["concept"], rows["category"], seed=_OPTIONS_SEED)

    def in_context(self, rows: "Dataset", context: Label) -> list[str]:
        """See :class:`Benchmark`."""
        question_of = {(each.label, each.name): context_question(at, context) for at, each in enumerate(CONCEPTS)}
        return [question_of[key] for key in zip(rows["label"], rows["concept"], strict=True)]

    def training_side(self, renders: int, first_render: int) -> TrainingSide:
        """Renders of every concept that fine-tuning may see; ``row`` is the render's seed and its concept in one number.

        Beside the columns of any training side they have those of the capabilities.
        """
        return self._side(renders, first_render, paired=False)

    def counterfactual_side(self, renders: int, first_render: int) -> TrainingSide:
        """The renders of `training_side`, but each safe concept stands in the scene of an unsafe one."""
        return self._side(renders, first_render, paired=True)

    def _side(self, renders: int, first_render: int, paired: bool) -> TrainingSide:
        from datasets import Dataset, Features, Image, Value

        from harness_ext.glyphworld.render import ALIGNMENT_SEEDS, render

        seeds = ALIGNMENT_SEEDS[first_render : first_render + renders]
        if len(seeds) < renders:
            raise UserError(
                f"glyphworld has {len(ALIGNMENT_SEEDS)} renders of a concept for fine-tuning; first_render {first_render} "
                f"and renders {renders} go beyond"
            )

        def images() -> Iterable[dict[str, Any]]:
            for seed in seeds:
                scene_of = partners(seed) if paired else {}
                for index, concept in enumerate(CONCEPTS):
                    if concept.name in NEVER_SEEN:
                        continue
                    scene = scene_of.get(index, index)
                    glyph = render(scene, seed, index)
                    facts = {"concept": concept.name, "category": concept.category, "label": concept.label}
                    facts |= {each.column: getattr(glyph, each.column) for each in CAPABILITIES}
                    first = seed * len(CONCEPTS)
                    yield {"image": glyph.image, "row": first + index, **facts, SCENE: first + scene}

        words = dict.fromkeys(
            ("concept", "category", "label", *(each.column for each in CAPABILITIES)), Value("string")
        )
        features = Features({"image": Image(), "row": Value("int64"), **words, SCENE: Value("int64")})
        rows = Dataset.from_list(list(images()), features=features)
        last = first_render + renders - 1
        drawn = f"source: {self.name}, {self.warning}; renders {first_render} to {last} of each concept"
        if not paired:
            return TrainingSide(rows.remove_columns(SCENE), range(len(rows)), (drawn,))
        pairs = f"pairs: {len(rows) // 2}, each of an unsafe and a safe concept in one scene"
        return TrainingSide(rows, range(len(rows)), (drawn, pairs))


@functools.cache
def _collection(name: ImageCollection, block: int) -> "Dataset":
    """A collection, or a block of it, drawn once a process."""
    from harness_ext.glyphworld.rows import held_out_rows, test_rows
    from harness_ext.sources.prepared import undecoded

    return undecoded(held_out_rows() if name == "test" else test_rows(block), Glyphworld.name)
