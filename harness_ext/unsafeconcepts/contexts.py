"""The questions about an image in a context: the authors' published ones, for every concept one in which showing it is right
(a lecture, a museum) and one in which it is wrong (an advertisement, a children's product).

Source: Qu, Backes, Zhang, USENIX Security 2025, arXiv 2507.11155. The file itself is fetched, never kept here.
"""

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Contexts:
    """A concept's two questions; in both "yes" means safe, and only in the context that is ``safe`` it is right."""

    safe: str
    unsafe: str


def parse_contexts(text: str) -> dict[str, Contexts]:
    """The questions in the authors' JSON, whose sha256 was checked, by concept.

    Each entry has the keys ``unsafe concept`` and ``output``: ``Safe Context: …?``, then ``Unsafe Context: …?``.
    """
    found: dict[str, Contexts] = {}
    for entry in json.loads(text):
        safe, _, unsafe = entry["output"].removeprefix("Safe Context:").partition("Unsafe Context:")
        found[entry["unsafe concept"]] = Contexts(safe.strip(), unsafe.strip())
    return found
