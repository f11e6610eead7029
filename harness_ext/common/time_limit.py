"""A limit of time for what a model's files make this process compute: a template's loops, a regular expression."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from harness_ext.common.errors import UserError, one_line

SECONDS: Final = 20.0


@contextmanager
def time_limit(what: str, seconds: float | None = None) -> Iterator[None]:
    """Within it, ``UserError`` is raised where ``seconds``, by default ``SECONDS``, have passed; ``what`` took so long.

    Python's code and its regular expressions are interrupted, on the main thread of a system that has alarms; elsewhere there
    is no limit.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    most = SECONDS if seconds is None else seconds

    def too_long(_: int, __: FrameType | None) -> None:
        raise UserError(f"{what} takes more than {most:g} seconds, where a moment is usual: it is not used here")

    handler = signal.signal(signal.SIGALRM, too_long)
    remaining, _ = signal.setitimer(signal.ITIMER_REAL, most)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, remaining)
        signal.signal(signal.SIGALRM, handler)


@contextmanager
def rendering(what: str) -> Iterator[None]:
    """Within it, a template of a model's files is rendered: a :func:`time_limit`, and ``ValueError`` for all that it raises.

    A template is a program, of which any operation may fail: a division, a range, an attribute, a memory that is too small.
    """
    try:
        with time_limit(what):
            yield
    except UserError:
        raise
    except Exception as error:
        raise ValueError(one_line(error)) from error
