"""The questions about an image in a context: the authors' published ones, for every concept one in which showing it is right
(a lecture, a museum) and one in which it is wrong (an advertisement, a children's product).

Source: Qu, Backes, Zhang, USENIX Security 2025, arXiv 2507.11155. The file itself is fetched, never kept here.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness_ext.benchmark.taxonomy import CATEGORY_OF
from harness_ext.common.errors import SourceError

_NAME: Final = "generated_questions.json"
_BOTH: Final = re.compile(r"Safe Context: (\S[^\n]*\?)\s*\n\s*Unsafe Context: (\S[^\n]*\?)\s*")


@dataclass(frozen=True)
class Contexts:
    """A concept's two questions; in both "yes" means safe, and only in the context that is ``safe`` it is right."""

    safe: str
    unsafe: str


def parse_contexts(text: str) -> dict[str, Contexts]:
    """The questions in the authors' JSON (a list; keys ``category``, ``unsafe concept``, ``output``), checked.

    Raises ``SourceError`` naming the first entry that is not as published, and the concepts that have none: every concept
    of the taxonomy has one entry, and it holds one question for each context.
    """
    found: dict[str, Contexts] = {}
    for number, entry in enumerate(json.loads(text)):
        concept, contexts = _parse_entry(number, entry)
        if concept in found:
            raise SourceError(f"{_NAME}, entry {number}: {concept!r} is there twice")
        found[concept] = contexts
    if missing := [concept for concept in CATEGORY_OF if concept not in found]:
        raise SourceError(f"{_NAME}: no questions about {', '.join(missing)}")
    return found


def _parse_entry(number: int, entry: Mapping[str, Any]) -> tuple[str, Contexts]:
    concept = entry["unsafe concept"]
    if CATEGORY_OF.get(concept) != entry["category"]:
        raise SourceError(
            f"{_NAME}, entry {number}: expected a concept of the taxonomy and its category, found {concept!r} of "
            f"{entry['category']!r}"
        )
    if (questions := _BOTH.fullmatch(entry["output"])) is None:
        raise SourceError(
            f"{_NAME}, entry {number}: expected a question in a safe and one in an unsafe context, found {entry['output']!r}"
        )
    return concept, Contexts(*questions.groups())
