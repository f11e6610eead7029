"""The errors a user can do something about, told in one or two lines and never as a traceback."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """Something outside the program is not as expected; the message says what, and what to do next."""


def exit_status(program: str, run: Callable[[], int | None]) -> int:
    """The status that ``run`` ends a command with, 0 where it gives none; of a ``UserError`` 2, its message on stderr."""
    try:
        return run() or 0
    except UserError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
