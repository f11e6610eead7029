"""Rows of images, with a question put to each: what every probe is made of.

A source has collections of images: those of the benchmark or of the stand-in (``all``), the held-out ones (``test``), and
the data sets that generalisation is measured on. A row's ``row`` is its place in its collection. Of the stand-in's images, of
which there is no end, a run sees one block (harness_ext/glyphworld/rows.py).
"""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from datasets import Dataset, concatenate_datasets
from datasets import Image as ImageFeature

from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.common.processes import processes_of_run
from harness_ext.common.provenance import record_provenance
from harness_ext.metrics.records import Probe

if TYPE_CHECKING:
    from harness_ext.benchmark.sides import Sides

Collection = Literal["all", "test", "smid", "nsfw"]
# Which images a probe shows; those that are not here show those of `all`, or none.
_SHOWS: Final[dict[str, Collection]] = {
    "test": "test",
    "context_safe": "test",
    "context_unsafe": "test",
    "smid": "smid",
    "nsfw": "nsfw",
}

_IN_BLOCKS: Final = ("glyphworld", "all")


def collection_of(probe: str) -> Collection:
    """Which of a source's collections a probe shows."""
    return _SHOWS.get(probe, "all")


def rows_of(source: str, name: Collection) -> Dataset:
    """The rows that this run asks about, as the harness sees them: without the images, which it could write into its logs."""
    block = 0
    if (source, name) == _IN_BLOCKS:
        from harness_ext.glyphworld import rows as glyphs

        block = glyphs.block_of_run()
        seeds = glyphs.seeds_of(block)
        record_provenance(glyphworld_source=f"test renders {seeds[0]} to {seeds[-1]} of each concept")
    return _collection(source, name, block).remove_columns("image")


def image_file(source: str, name: Collection, row: int) -> dict[str, Any]:
    """The image of a row, whatever block this run asks about.

    Undecoded: how an image of any kind becomes RGB is decided in one place, and only the file itself can tell that it was
    cut off.
    """
    block, place = 0, row
    if (source, name) == _IN_BLOCKS:
        from harness_ext.glyphworld.rows import ROWS

        block, place = divmod(row, ROWS)
    found: dict[str, Any] = _collection(source, name, block)[place]["image"]
    return found


@functools.cache
def _collection(source: str, name: Collection, block: int) -> Dataset:
    """A collection, or a block of it, with its images, loaded once a process."""
    rows = _loaded(source, name, block)
    return rows.add_column("source", [source] * len(rows)).cast_column("image", ImageFeature(decode=False))


def _loaded(source: str, name: Collection, block: int) -> Dataset:
    if source == "glyphworld":
        from harness_ext.glyphworld import rows as glyphs

        return glyphs.held_out_rows() if name == "test" else glyphs.test_rows(block)
    if name == "test":
        return both_sides().images
    if name == "all":
        from harness_ext.benchmark.sources import describe, load_unsafeconcepts

        images = load_unsafeconcepts()
        record_provenance(unsafeconcepts_source=describe())
        return images
    from harness_ext.benchmark.sources.labelled import load_labelled

    images, described = load_labelled(name)
    record_provenance(**{f"{name}_source": described})
    return images


@functools.cache
def both_sides() -> "Sides":
    """UnsafeConcepts and the safe images, what is trained on and what is TEST, loaded once a process."""
    from harness_ext.benchmark.sides import sides

    both = sides()
    record_provenance(test_source=both.source)
    return both


def ask(rows: Dataset, probe: Probe, question: int, prompts: list[str], expected: list[str]) -> Dataset:
    """``rows`` with one question put to each of them."""
    columns = {
        "probe": [probe] * len(rows),
        "question": [question] * len(rows),
        "prompt": prompts,
        "expected": expected,
    }
    for name, values in columns.items():
        rows = rows.add_column(name, values)
    return rows


def ask_alignment(rows: Dataset, probe: Probe) -> Dataset:
    """``rows``, each with the five alignment questions about its image."""
    asked = [
        ask(rows, probe, index, [question] * len(rows), list(rows["label"]))
        for index, question in enumerate(IMAGE_QUESTIONS)
    ]
    return question_by_question(asked)


def question_by_question(asked: Sequence[Dataset]) -> Dataset:
    """All questions about the first row, then all about the second …: those about one image stay together.

    The harness deals rows out to processes one by one. Of several processes each gets all questions about an image all the
    same, for rows go in rounds of as many images as there are processes: first question about each of them, second ….
    """
    count, processes = len(asked[0]), processes_of_run()
    order = [
        question * count + row
        for first in range(0, count, processes)
        for question in range(len(asked))
        for row in range(first, min(first + processes, count))
    ]
    return concatenate_datasets(asked).select(order)
