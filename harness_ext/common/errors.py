"""The errors that a user can do something about: told in one or two lines, never as a traceback."""

import sys
from collections.abc import Callable
from typing import ClassVar


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


def shown(found: object) -> str:
    """What was found, as Python writes it, for a message: 60 characters of it at most."""
    if isinstance(found, str):
        return repr(found if len(found) <= 60 else found[:57] + "...")
    written = repr(found)
    return written if len(written) <= 60 else written[:57] + "..."


def exit_status(program: str, run: Callable[[], int | None]) -> int:
    """The status that ``run`` returns, 0 for ``None``; that of a ``UserError``, whose message goes to stderr."""
    try:
        return run() or 0
    except UserError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return error.status
