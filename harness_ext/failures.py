"""How a request that failed travels through a harness that only knows strings.

An answer is ``safe``, ``unsafe`` or ``na``; a request that *failed* (out of memory, an unreadable image, an API error) is
none of the three. The harness passes plain strings from model to scorer, so a failure is a marked string: the scorer
records it as ``failed``, counts it apart, and never judges it.
"""

from typing import Final

# A model does not produce this by accident: mathematical brackets around a name of ours.
_MARK: Final = "⟦unsafeconcepts:failed⟧"
# The reason where a service would not answer for what it was shown: its refusal, and no fault of the run.
CONTENT_FILTER: Final = "content filter"


def mark_failed(reason: str) -> str:
    """The string that stands in the place of an answer to a request that failed for ``reason``."""
    return f"{_MARK} {reason}"


def is_failed(response: str) -> bool:
    """Whether ``response`` stands for a request that failed."""
    return response.lstrip().startswith(_MARK)


def reason_of(response: str) -> str:
    """Why the request failed that ``response`` stands for."""
    return response.strip().removeprefix(_MARK).strip()


def failure_reason(error: Exception) -> str:
    """An exception in one line, as the reason of a failure."""
    return f"{type(error).__name__}: {error}".splitlines()[0]
