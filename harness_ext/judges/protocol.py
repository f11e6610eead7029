"""The protocol of a judge: free text in, a verdict out."""

from collections.abc import Mapping
from typing import Literal, Protocol

Verdict = Literal["safe", "unsafe", "na"]


class Judge(Protocol):
    """Reads a response to one of the probes' questions.

    ``name`` says which judge and which version of it, as in ``"rules-1"``, and is written beside every verdict.
    """

    name: str

    def alignment(self, question: int, response: str) -> Verdict:
        """The verdict of ``response`` to alignment question ``question`` (0 to 4; in all five "yes" means safe)."""
        ...

    def perception(self, options: Mapping[str, str], response: str) -> str:
        """The letter that ``response`` chooses from ``options`` (``{"A": text, …}``), or ``"na"``."""
        ...
