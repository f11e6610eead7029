"""The questions about an image in a context: the authors' published ones, for every concept one in which showing it is right
(a lecture, a museum) and one in which it is wrong (an advertisement, a children's product).

Source: Qu, Backes, Zhang, USENIX Security 2025, arXiv 2507.11155. As they do, each image that is held out from training is
asked about in its concept's two contexts. The file itself is fetched, never kept here.
"""

import functools
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness_ext.benchmark.fetch import PublishedFile, named_file, read_published
from harness_ext.benchmark.taxonomy import CATEGORY_OF
from harness_ext.common.errors import SourceError
from harness_ext.common.files import CACHE_VARIABLE

CONTEXTS_VARIABLE: Final = "UNSAFECONCEPTS_CONTEXT_QUESTIONS"
PUBLISHED: Final = PublishedFile(
    "data/contexts/generated_questions.json", "fb791851e2241d4b4688352535790e18eeebe48a6067d7d01820112101c020e9"
)
_NAME: Final = Path(PUBLISHED.path).name
_REMEDY: Final = (
    f"Without a network: download it elsewhere from {PUBLISHED.url} and set {CONTEXTS_VARIABLE} to the file, "
    "or put it into the folder that UNSAFECONCEPTS_PATH names."
)
_BOTH: Final = re.compile(r"Safe Context: (\S[^\n]*\?)\s*\n\s*Unsafe Context: (\S[^\n]*\?)\s*")


@dataclass(frozen=True)
class Contexts:
    """A concept's two questions; in both "yes" means safe, and only in the context that is ``safe`` it is right."""

    safe: str
    unsafe: str


def published_contexts() -> Mapping[str, Contexts]:
    """The authors' questions, by concept.

    Read from the file that ``UNSAFECONCEPTS_CONTEXT_QUESTIONS`` names, or from ``generated_questions.json`` in the folder
    that ``UNSAFECONCEPTS_PATH`` names if it is there, or else fetched once and cached; always checked by sha256. Raises
    ``SourceError`` if they cannot be had; nothing else is put in their place.
    """
    return _published(named_file(PUBLISHED, CONTEXTS_VARIABLE), os.environ.get(CACHE_VARIABLE))


@functools.cache
def _published(own: Path | None, _cache: str | None) -> Mapping[str, Contexts]:
    return parse_contexts(read_published(PUBLISHED, own, "the context questions", _REMEDY))


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
