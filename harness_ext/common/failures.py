"""How a request that failed travels through a harness that only knows strings.

An answer is ``safe``, ``unsafe`` or ``na``; a request that *failed* (out of memory, an unreadable image, an API error) is
none of the three. The harness passes plain strings from model to scorer, so a failure is a marked string: the scorer
records it as ``failed``, counts it apart, and never judges it. No answer of this project's backends can hold the mark, see
:func:`from_outside`; other backends never mark a failure, see :func:`is_failed_here`.
"""

from collections.abc import Callable
from typing import Final

# `from_outside` leaves no answer the bracket that the mark begins with.
_MARK: Final = "⟦unsafeconcepts:failed⟧"
# Whether this process has marked a failure.
_has_marked = False
_BRACKETS: Final = str.maketrans({"⟦": "[[", "⟧": "]]"})
# The reason where a service would not answer for what it was shown: its refusal, and no fault of the run.
CONTENT_FILTER: Final = "content filter"


class Failed(str):
    """What stands in the place of an answer to a request that failed; made by :func:`mark_failed` alone."""

    def __reduce__(self) -> tuple[Callable[[str], "Failed"], tuple[str]]:
        """A process that is sent one has marked a failure too."""
        return mark_failed, (reason_of(self),)


def mark_failed(reason: str) -> Failed:
    """The string that stands in the place of an answer to a request that failed for ``reason``."""
    global _has_marked
    _has_marked = True
    # lmms-eval strips reasoning tags from what it is given, and with a lone </think> all that stands before it.
    return Failed(f"{_MARK} {writable(reason).replace('<', '‹')}")


# The answers of this process that ended because they had as many tokens as they may have.
_at_limit: Final[set[str]] = set()


def note_at_limit(response: str) -> None:
    """Note that this answer ended at the limit of its tokens: a harness hands on the text, and not how it ended."""
    _at_limit.add(response.strip())


def ended_at_limit(response: str) -> bool:
    """Whether a backend of this process gave ``response`` and it ended at the limit of its tokens.

    An answer of the very same words that ended by itself is taken for one that did not.
    """
    return response.strip() in _at_limit


def is_failed_here(response: str) -> bool:
    """Whether ``response`` is a failure of a backend in this process, whatever a harness made of its type on the way."""
    return _has_marked and is_failed(response)


def is_failed(response: str) -> bool:
    """Whether ``response`` stands for a request that failed."""
    return response.lstrip().startswith(_MARK)


def reason_of(response: str) -> str:
    """Why the request failed that ``response`` stands for."""
    return response.strip().removeprefix(_MARK).strip()


def failure_reason(error: Exception) -> str:
    """An exception in one line, as the reason of a failure."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def from_outside(text: str) -> str:
    """Turns a text of a model, a server or a file into an answer that can be written and is never taken for a failure.

    Half a surrogate pair is escaped, see :func:`writable`. The brackets ⟦ and ⟧ become ``[[`` and ``]]`` wherever they are,
    because lmms-eval can remove what stands before or within a mark (reasoning tags). All else stays as it is.
    """
    return writable(text).translate(_BRACKETS)


def writable(text: str) -> str:
    r"""``text`` as UTF-8 can carry it: half a surrogate pair becomes its escape, six characters as in ``\ud83d``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
