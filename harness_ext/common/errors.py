"""The errors that a user can do something about: told in one or two lines, never as a traceback."""

import sys
from collections.abc import Callable
from typing import ClassVar

from harness_ext.common.output import say


class UserError(Exception):
    """Something outside the program is not as expected; the message says what, and what to do next."""

    # The exit status of a command that it ends.
    status: ClassVar[int] = 2


class SourceError(UserError):
    """A source is missing, out of reach, or not what it should be. At most two lines: the problem, and what to do instead."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(" ".join(problem.split()), " ".join(remedy.split()))

    def __str__(self) -> str:
        return "\n".join(line for line in self.args if line)


def one_line(error: Exception) -> str:
    """An error of a library: its type and the first 300 characters of what it says, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def shown(text: str) -> str:
    """What was found, quoted for a message: 60 characters of it at most."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def exit_status(program: str, run: Callable[[], int | None]) -> int:
    """The status that ``run`` returns, 0 for ``None``; that of a ``UserError``, whose message goes to stderr."""
    try:
        return run() or 0
    except UserError as error:
        say(f"{program}: {error}", file=sys.stderr)
        return error.status
