"""Rows of images, with a question put to each: what every probe is made of.

A source has collections of images: those of the benchmark or of the stand-in (``all``), the held-out ones (``test``), and
the data sets that generalisation is measured on. A row's ``row`` is its place in its collection.
"""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

from datasets import Dataset, concatenate_datasets
from datasets import Image as ImageFeature

from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.metrics.records import Probe
from harness_ext.processes import processes_of_run
from harness_ext.provenance import record_provenance

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


def collection_of(probe: str) -> Collection:
    """Which of a source's collections a probe shows."""
    return _SHOWS.get(probe, "all")


@functools.cache
def collection(source: str, name: Collection) -> Dataset:
    """A collection with its images, loaded once a process.

    Undecoded: how an image of any kind becomes RGB is decided in one place, and only the file itself can tell that it was
    cut off.
    """
    rows = _loaded(source, name)
    return rows.add_column("source", [source] * len(rows)).cast_column("image", ImageFeature(decode=False))


def rows_of(source: str, name: Collection) -> Dataset:
    """A collection's rows as the harness sees them: without the images, which it could write into its logs."""
    return collection(source, name).remove_columns("image")


def _loaded(source: str, name: Collection) -> Dataset:
    if source == "glyphworld":
        from harness_ext.glyphworld import rows as glyphs

        return glyphs.held_out_rows() if name == "test" else glyphs.test_rows()
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
