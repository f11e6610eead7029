"""The one reader of text and of JSON that comes from outside; ``reading_yaml.py`` beside it reads YAML.

A file that is damaged, foreign or made to do harm ends as :class:`Unreadable`, which says where in one line. Nesting and
whole numbers are bounded, so that neither reading a value nor showing it can hang or fail.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from harness_ext.common.errors import UserError, shown

if TYPE_CHECKING:
    from pydantic import TypeAdapter

# More than any file of both harnesses, transformers and this project has; less than what recursion bears.
DEEPEST: Final = 100
# JSON's whole numbers here fit 64 bits, signed or not: what is larger comes from no table of data, and floats overflow.
_LARGEST: Final = 2**64
_LONG_NUMBER: Final = re.compile(r"\d{20}")
_MARK: Final = b"\xef\xbb\xbf"
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
TOO_DEEP: Final = f"nested more than {DEEPEST} deep"
# Longer ones are not looked at: Python refuses to convert thousands of digits.
MOST_DIGITS: Final = len(str(_LARGEST)) + 1
_Kind = TypeVar("_Kind")


class Unreadable(UserError):
    """A text is not what its reader takes; the message is one line.

    Attributes:
        where: What is read, a file mostly.
        line: In which line of it, from 1; 0 where that is not known.
        problem: What is wrong.
    """

    def __init__(self, where: object, line: int, problem: str) -> None:
        self.where, self.line, self.problem = str(where), line, " ".join(problem.split())
        super().__init__(f"{self.where}{f', line {line}' if line else ''}: {self.problem}")


class NotJson(Unreadable):
    """A text is not JSON: it was cut off, or is something else."""


# --- text -------------------------------------------------------------------------------------------------------------


def read_text(path: Path) -> str:
    """A file's text as UTF-8, without a byte order mark. Raises ``Unreadable``."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _not_opened(path, error) from error
    return _decoded(content.removeprefix(_MARK), path, 1)


def read_lines(path: Path, whole: bool = False) -> Iterator[tuple[int, str]]:
    """The lines of a file with their numbers, one at a time, each with its line break.

    ``whole`` leaves out a last line without one, which was cut off in writing. Raises ``Unreadable``.
    """
    try:
        with path.open("rb") as file:
            yield from decoded(file, path, whole)
    except OSError as error:
        raise _not_opened(path, error) from error


def decoded(lines: Iterable[bytes], where: object, whole: bool = False) -> Iterator[tuple[int, str]]:
    r"""As :func:`read_lines`, of an open binary file: only ``\n`` ends a line, which JSON has within no text."""
    for number, line in enumerate(lines, start=1):
        if whole and not line.endswith(b"\n"):
            return
        yield number, _decoded(line if number > 1 else line.removeprefix(_MARK), where, number)


def _decoded(content: bytes, where: object, first: int) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = first + content.count(b"\n", 0, error.start)
        guess = "UTF-16" if content.startswith(_UTF_16) else "perhaps Windows-1252 or Latin-1"
        found = f"is not UTF-8 ({guess}); save it as UTF-8; found byte 0x{content[error.start]:02x}"
        raise Unreadable(where, line, found) from error


def _not_opened(path: Path, error: OSError) -> Unreadable:
    return Unreadable(path, 0, f"cannot be read ({error.strerror or error})")


# --- JSON -------------------------------------------------------------------------------------------------------------


def parse_json(text: str, where: object, line: int = 0, *, last_wins: bool = False) -> Any:
    """The value of a JSON text; NaN and Infinity, which Python and both harnesses write, are read.

    Args:
        text: The text.
        where: What it is, for messages; a file mostly.
        line: Its line there; by default that of the fault within the text.
        last_wins: Whether a key may stand in one object twice, of which the last counts, as for other programs.

    Raises:
        Unreadable: It is not JSON, a key is there twice, or it exceeds a bound of this module.
    """
    hook = None if last_wins else _no_key_twice
    try:
        value = json.loads(text, object_pairs_hook=hook, parse_int=_bounded_int if _LONG_NUMBER.search(text) else None)
        if _is_deep(value, text):
            raise ValueError(TOO_DEEP)
    except json.JSONDecodeError as error:
        at = line or error.lineno
        raise NotJson(where, at, f"not JSON ({error.msg}, column {error.colno})") from error
    except RecursionError as error:
        raise Unreadable(where, line, f"not JSON that is read here: {TOO_DEEP}") from error
    except ValueError as error:
        raise Unreadable(where, line, f"not JSON that is read here: {error}") from error
    return value


def read_json(path: Path, *, last_wins: bool = False) -> dict[str, Any]:
    """The object in a JSON file; ``last_wins`` as in :func:`parse_json`. Raises ``Unreadable``."""
    return parse_object(read_text(path), path, last_wins=last_wins)


def parse_object(text: str, where: object, line: int = 0, *, last_wins: bool = False) -> dict[str, Any]:
    """As :func:`parse_json`, and ``Unreadable`` for anything but an object."""
    value = parse_json(text, where, line, last_wins=last_wins)
    if not isinstance(value, dict):
        raise Unreadable(where, line, f"expected a JSON object, found {type(value).__name__}")
    return value


def parse_as(adapter: "TypeAdapter[_Kind]", text: str, where: object, line: int = 0) -> _Kind:
    """A JSON text as a value of a type, strictly. Raises ``Unreadable``, or pydantic's ``ValidationError``."""
    parse_json(text, where, line)
    return adapter.validate_json(text, strict=True)


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise ValueError(f"the key {shown(key)} is there twice")
        seen.add(key)
    raise AssertionError(pairs)


def _bounded_int(digits: str) -> int:
    if len(digits) > MOST_DIGITS or abs(int(digits)) >= _LARGEST:
        raise ValueError(f"a whole number of {len(digits.lstrip('-'))} digits, expected one of 64 bits")
    return int(digits)


def _is_deep(value: Any, text: str) -> bool:
    """Whether a value is nested too deep; its text tells quickly that it cannot be."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return False
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            return True
        inner: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                inner += [one for one in each.values() if isinstance(one, dict | list)]
            elif isinstance(each, list):
                inner += [one for one in each if isinstance(one, dict | list)]
        level = inner
    return False
