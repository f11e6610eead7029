"""Reading a capability's answer: one of a few words, and nothing else.

Capability tasks have a closed vocabulary, and measure whether training kept an ability. The reading is strict, since a model
that starts to ramble has lost something too.
"""

import re
from collections.abc import Sequence

from harness_ext.records import NA


def exact_answer(vocabulary: Sequence[str], response: str) -> str:
    """The one entry of ``vocabulary`` that ``response`` is, up to case and surrounding punctuation, else ``"na"``."""
    words = " ".join(re.findall(r"\w+", response.casefold()))
    return next((entry for entry in vocabulary if entry.casefold() == words), NA)
