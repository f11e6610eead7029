"""Whether a benchmark's concepts, contexts and images fit each other."""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from posixpath import normpath
from typing import Any, Final

from harness_ext.benchmark.base import Concept, slug
from harness_ext.common.errors import shown
from harness_ext.own.form import Form
from harness_ext.own.listing import TEST, TRAIN, Listing
from harness_ext.own.problems import Problems, is_within, outside
from harness_ext.own.written import Written
from harness_ext.records import LABELS

# What metrics are called beside the categories: acc_unsafe, acc_na_wrong_safe.
_OTHER_METRICS: Final = ("safe", "unsafe", "na_wrong", "na_wrong_safe", "na_wrong_unsafe")


def concepts_of(form: Form) -> tuple[Concept, ...]:
    """The concepts, in the order of the file."""
    return tuple(
        Concept(entry.name, name, category.label, tuple(entry.also))
        for name, category in form.concepts.items()
        for entry in category.of
    )


def check_concepts(form: Form, written: Written, problems: Problems) -> None:
    """No name stands for two concepts, and no metric for two categories."""
    names: dict[str, str] = {}
    for place, name in _names(form):
        line = written.line(*place)
        if (other := names.setdefault(_folded(name), name)) is not name:
            problems.add(
                written.file, line, f"{shown(name)} names a concept twice, here and as {shown(other)}; keep one"
            )
    slugs: dict[str, str] = {}
    for category in form.concepts:
        line = written.line("concepts", category)
        if slug(category) in _OTHER_METRICS:
            problems.add(
                written.file, line, f"the category {shown(category)} needs another name: a metric is called so"
            )
        if (other := slugs.setdefault(slug(category), category)) is not category:
            problems.add(
                written.file, line, f"the categories {shown(other)} and {shown(category)} need names that differ"
            )


def _names(form: Form) -> Iterator[tuple[tuple[Any, ...], str]]:
    for category, listed in form.concepts.items():
        for at, entry in enumerate(listed.of):
            place = ("concepts", category, "of", at)
            yield place, entry.name
            yield from (((*place, "also", number), name) for number, name in enumerate(entry.also))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def check_questions(form: Form, written: Written, problems: Problems) -> None:
    """No question is there twice: answers of two runs are paired by their question."""
    seen: set[str] = set()
    for at, question in enumerate(form.questions or ()):
        if question.image in seen:
            text = "questions: expected each question once"
            problems.add(written.file, written.line("questions", at), text, shown(question.image))
        seen.add(question.image)


def check_contexts(form: Form, written: Written, problems: Problems) -> None:
    """Contexts are those of concepts or categories that there are; one concept has one phrase of each kind."""
    concepts = {concept.name for concept in concepts_of(form)}
    for name, contexts in form.contexts.items():
        line = written.line("contexts", name)
        if name not in concepts and name not in form.concepts:
            problems.add(written.file, line, f"contexts: there is no concept or category {shown(name)}")
        if name in concepts and name in form.concepts:
            problems.add(
                written.file, line, f"contexts: {shown(name)} is a concept and a category; name one differently"
            )
        elif name in concepts and max(len(contexts.safe), len(contexts.unsafe)) > 1:
            text = f"contexts: expected one phrase for the concept {shown(name)}: all its images are asked the same"
            problems.add(written.file, line, text)


def check_listing(listing: Listing, form: Form | None, written: Written, problems: Problems) -> None:
    """Every image has one concept that there is, and every concept has an image.

    ``form`` is ``None`` where its concepts are not known.
    """
    root = listing.file.parent
    seen: dict[str, int] = {}
    for row, name in enumerate(listing.names):
        # Whether a link leads out is seen when the files are looked at: to follow each of 100,000 paths takes seconds.
        if not is_within(name):
            listing.note(problems, row, outside(root, name))
        if seen.setdefault(normpath(name), row) != row:
            listing.note(problems, row, "expected each image once", shown(name))
    for row, (label, split) in enumerate(zip(listing.labels, listing.splits, strict=True)):
        if label and label not in LABELS:
            listing.note(problems, row, "label: expected safe or unsafe", shown(label))
        if split and split not in (TRAIN, TEST):
            listing.note(problems, row, "split: expected train or test", shown(split))
        if not listing.concepts[row]:
            listing.note(
                problems, row, "an image without a concept", shown(listing.names[row]) if listing.names else ""
            )
    _check_split(listing, problems)
    if not listing.concepts:
        problems.add(listing.file, 0, "lists no image")
    if form is not None:
        _check_shown(listing, form, written, problems)


def _check_split(listing: Listing, problems: Problems) -> None:
    counts = Counter(listing.splits)
    if counts[""] == len(listing.splits):
        return
    for row, split in enumerate(listing.splits):
        if not split:
            listing.note(problems, row, "split: expected train or test, as other images have one")
    if not counts[TEST] and not counts[""]:
        problems.add(listing.file, 0, "split: no image is for test; leave the split out, and it is drawn")


def _check_shown(listing: Listing, form: Form, written: Written, problems: Problems) -> None:
    label_of = {concept.name: concept.label for concept in concepts_of(form)}
    called: Mapping[str, str] = {
        _folded(name): entry.name
        for c in form.concepts.values()
        for entry in c.of
        for name in (entry.name, *entry.also)
    }
    there = set()
    for row, (name, label) in enumerate(zip(listing.concepts, listing.labels, strict=True)):
        if name in label_of:
            there.add(name)
            if label in LABELS and label != label_of[name]:
                text = f"label {label} contradicts benchmark.yaml, where {shown(name)} is {label_of[name]}"
                listing.note(problems, row, text)
        elif name:
            meant = called.get(_folded(name))
            hint = f"it is another name of {shown(meant)}: write that" if meant else "add it there, or correct it here"
            listing.note(problems, row, f"the concept {shown(name)} is not in benchmark.yaml; {hint}")
            there |= {meant} if meant else set()
    for place, name in _names(form):
        if len(place) == 4 and name not in there:
            problems.add(written.file, written.line(*place), "a concept without images", shown(name))
