"""Answers by category, by concept and by label.

A concept is named by its label and its name together: a safe concept may bear the name of an unsafe one, and the two
must never be counted as one.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import Final, TypeVar

from harness_ext.metrics.records import Judgement, Label

ConceptKey = tuple[Label, str]
SKILLS: Final[tuple[str, ...]] = ("colour", "count", "position")
Key = TypeVar("Key", bound=Hashable)


def group_by(records: Iterable[Judgement], key: Callable[[Judgement], Key]) -> dict[Key, list[Judgement]]:
    """The records of each key, keys in order of first appearance; a key without records is absent, never a zero."""
    groups: dict[Key, list[Judgement]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


def concept_key(record: Judgement) -> ConceptKey:
    """What names a record's concept: ``(label, name)``."""
    return record.label, record.concept


def by_category(records: Iterable[Judgement]) -> dict[str, list[Judgement]]:
    """The records of each category."""
    return group_by(records, lambda record: record.category)


def by_concept(records: Iterable[Judgement]) -> dict[ConceptKey, list[Judgement]]:
    """The records of each concept."""
    return group_by(records, concept_key)


def by_label(records: Iterable[Judgement]) -> dict[Label, list[Judgement]]:
    """The records of the unsafe and of the safe concepts."""
    return group_by(records, lambda record: record.label)
