"""The errors that a user can do something about: told in one or two lines, never as a traceback."""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable
from typing import ClassVar, Final

from harness_ext.common.output import say, with_short_lines

# What a disk or a pipe says that takes no more.
_NOT_WRITTEN: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EPIPE)


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
    """The status that ``run`` returns, 0 for ``None``; that of a ``UserError``, whose message goes to stderr.

    Output that stdout's encoding does not have is escaped. Output that cannot be written, as to a full disk, is an error of
    the user's; a reader who has seen enough and closed the pipe is none.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            status = run() or 0
        except SystemExit:
            _flush()  # argparse has printed its help
            raise
        _flush()
        return status
    except UserError as error:
        tell(f"{program}: {error}")
        return error.status
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            tell(f"{program}: {shown(error.filename)}: {error.strerror}")
            return UserError.status
        if error.errno not in _NOT_WRITTEN:
            raise
        if not error.filename:
            # Else the interpreter tries again when it ends, and prints a traceback of its own.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if error.errno == errno.EPIPE:
                return 0
        tell(f"{program}: {error.filename or 'the output'} cannot be written: {error.strerror}")
        return UserError.status


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def tell(message: str) -> None:
    """Say to stderr why a command ends, in lines of a bounded length."""
    # Where stderr is full too, there is nobody to tell; the status says it.
    with contextlib.suppress(OSError):
        say(with_short_lines(message), file=sys.stderr, flush=True)
