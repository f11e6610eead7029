"""Text from outside, as of a model, a server or a file, on its way to a terminal, a table or a page: it commands nothing."""

import argparse
import logging
import re
import sys
import warnings
from typing import Any, Final, NoReturn, TextIO

from harness_ext.common.secrets import hide

# What a terminal obeys, what turns the direction of what follows, line ends that only some programs know, and half
# surrogate pairs, which nothing can write. Line feeds and tabs stay.
_COMMANDS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
# The code points with Default_Ignorable_Code_Point=Yes, which are shown as nothing, in blocks that Unicode keeps for such:
# https://www.unicode.org/Public/17.0.0/ucd/DerivedCoreProperties.txt
IGNORABLE: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)

_LONGEST: Final = 2000
_HALF: Final = _LONGEST // 2
_FORMAT_WARNING: Final = warnings.formatwarning


def neutral(text: str) -> str:
    r"""``text`` with every character that commands a terminal as its escape, as in ``\u001b``; line feeds and tabs stay.

    JSON stays the same JSON.
    """
    return _COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\r\n", "\n"))


def neutral_text(value: object) -> object:
    """What a template writes: a text as :func:`neutral`, anything else, markup included, as it is."""
    return neutral(value) if type(value) is str else value


def say(*said: object, file: TextIO | None = None, flush: bool = False) -> None:
    """``print`` of neutral text: the way of this project to stdout and stderr, beside Rich's tables and the log."""
    print(*(neutral(str(each)) for each in said), file=file or sys.stdout, flush=flush)


class CommandParser(argparse.ArgumentParser):
    """A parser whose errors are neutral: a word of a command line may be a file's name."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and ``message``, and exit with status 2."""
        super().error(neutral(message))


def with_short_lines(text: str) -> str:
    """``text`` without the middle of a line of more than 2,000 characters: what a message shows may be all of a file."""
    return "\n".join(
        line if len(line) <= _LONGEST else f"{line[:_HALF]} … {line[-_HALF:]}" for line in text.split("\n")
    )


def guard_log() -> None:
    """Let loguru, by which this project and lmms-eval log, write neutral text, without a token of the hub.

    Warnings of libraries, which may show what a file holds, are neutral too; of bitsandbytes only errors are shown.
    """
    from loguru import logger

    def warned(*about: Any, **more: Any) -> str:
        return with_short_lines(neutral(_FORMAT_WARNING(*about, **more)))

    warnings.formatwarning = warned

    def patch(record: Any) -> None:
        record["message"] = neutral(hide(record["message"], name="[HF_TOKEN]"))

    logger.configure(patcher=patch)
    # Where it is installed, each start on some processors would be told of a faster kernel in a package of its own.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
