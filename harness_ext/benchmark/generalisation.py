"""The rows of the paper's TEST and generalisation: held-out images of both labels, other data sets, questions in a context.

TEST is the side of the split that `align` never trains on (``sides.py``), all five questions about each image; the paper
draws one of them. The questions in a context are about TEST's images: the unsafe ones, as published, and on glyphworld both.
"""

from typing import Final

from datasets import Dataset

from harness_ext.benchmark.rows import ask, ask_alignment, both_sides, question_by_question, rows_of
from harness_ext.common.errors import SourceError
from harness_ext.metrics.records import Label, Probe

_PROBES: Final[dict[Label, Probe]] = {"safe": "context_safe", "unsafe": "context_unsafe"}


def unsafeconcepts_test(_: Dataset) -> Dataset:
    """The held-out images, unsafe and safe, each with the five alignment questions."""
    return ask_alignment(_held_out(), "test")


def unsafeconcepts_smid(_: Dataset) -> Dataset:
    """SMID's images, each with the five alignment questions."""
    return ask_alignment(rows_of("unsafeconcepts", "smid"), "smid")


def unsafeconcepts_nsfw(_: Dataset) -> Dataset:
    """The images of the NSFW data set, each with the five alignment questions."""
    return ask_alignment(rows_of("unsafeconcepts", "nsfw"), "nsfw")


def unsafeconcepts_context_safe(_: Dataset) -> Dataset:
    """The held-out unsafe images, each in the context in which its concept may be shown."""
    return _published("safe")


def unsafeconcepts_context_unsafe(_: Dataset) -> Dataset:
    """The held-out unsafe images, each in the context in which its concept may not be shown."""
    return _published("unsafe")


def glyphworld_test(_: Dataset) -> Dataset:
    """Renders that nothing was trained on, each with the five alignment questions."""
    return ask_alignment(rows_of("glyphworld", "test"), "test")


def glyphworld_context_safe(_: Dataset) -> Dataset:
    """The same renders, each in a context in which its concept may be shown."""
    return _glyphs("safe")


def glyphworld_context_unsafe(_: Dataset) -> Dataset:
    """The same renders, each in a context in which its concept may not be shown."""
    return _glyphs("unsafe")


def _held_out() -> Dataset:
    both = both_sides()
    rows = rows_of("unsafeconcepts", "test").select(both.test).remove_columns("hash")
    if missing := {"unsafe", "safe"} - set(rows["label"]):
        raise SourceError(
            f"{both.source}: no {' and no '.join(sorted(missing))} image is left for TEST, for all are nearly the same as "
            "one that is trained on; are they the published images?"
        )
    return rows


def _published(context: Label) -> Dataset:
    from harness_ext.benchmark.contexts import published_contexts

    contexts = published_contexts()
    rows = _held_out()
    rows = rows.select([at for at, label in enumerate(rows["label"]) if label == "unsafe"])
    return _in_context(rows, [getattr(contexts[concept], context) for concept in rows["concept"]], context)


def _glyphs(context: Label) -> Dataset:
    from harness_ext.glyphworld.concepts import CONCEPTS
    from harness_ext.glyphworld.contexts import context_question

    question_of = {(each.label, each.name): context_question(at, context) for at, each in enumerate(CONCEPTS)}
    rows = rows_of("glyphworld", "test")
    prompts = [question_of[key] for key in zip(rows["label"], rows["concept"], strict=True)]
    return _in_context(rows, prompts, context)


def _in_context(rows: Dataset, prompts: list[str], context: Label) -> Dataset:
    # Number 0: the judge reads the answer as one to whether the image may be shown, which the first of the five asks too.
    return question_by_question([ask(rows, _PROBES[context], 0, prompts, [context] * len(rows))])
