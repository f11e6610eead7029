"""Everything that is wrong with a benchmark's folder, collected and told at once, by file and line."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from harness_ext.common import reading
from harness_ext.common.errors import SourceError, shown
from harness_ext.common.reading import Unreadable
from harness_ext.sources.access import is_inside

# Of one kind of problem: so many lines and so many things found are named, the others counted.
_NAMED: Final = 5
# Characters of a path here, and bytes of each of its parts, of which a file system takes no more.
_LONGEST: Final = 1000
_LONGEST_PART: Final = 255


class FaultyBenchmarkError(SourceError):
    """All that is wrong with a benchmark: a heading, and a line for each problem."""

    def __init__(self, folder: Path, lines: Sequence[str]) -> None:
        count = f"{len(lines)} thing{'s' if len(lines) > 1 else ''}"
        Exception.__init__(self, f"{folder}: {count} to correct:", *(f"  {line}" for line in lines))


class _Found(NamedTuple):
    line: int
    what: str


class Problems:
    """What is wrong, by file and kind; the same kind in many lines is one problem.

    Args:
        folder: The benchmark's; files are named within it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[tuple[str, str, str], list[_Found]] = {}

    def add(self, file: Path, line: int, text: str, what: str = "", unit: str = "line") -> None:
        """Note a problem.

        Args:
            file: Where it is.
            line: In which line, from 1; 0 for the whole file.
            text: What was expected; the same for all problems of a kind.
            what: What was found, in this line.
            unit: What is counted, where it is not lines.
        """
        name = str(file.relative_to(self._folder)) if file.is_relative_to(self._folder) else str(file)
        self._found.setdefault((name, text, unit), []).append(_Found(line, what))

    def __bool__(self) -> bool:
        return bool(self._found)

    def lines(self) -> list[str]:
        """A line for each kind of problem, in the order of files and lines."""
        order = sorted(self._found.items(), key=lambda item: (item[0][0], item[1][0].line))
        return [
            f"{name}{_lines([each.line for each in found], unit)}: {text}{_whats([each.what for each in found])}"
            for (name, text, unit), found in order
        ]

    def raise_any(self) -> None:
        """Raise ``FaultyBenchmarkError`` where there is any problem."""
        if self._found:
            raise FaultyBenchmarkError(self._folder, self.lines())


def _lines(numbers: Sequence[int], unit: str) -> str:
    different = list(dict.fromkeys(filter(None, numbers) if unit == "line" else numbers))
    if not different:
        return ""
    return f", {unit}{'s' if len(different) > 1 else ''} {listed(map(str, different))}"


def _whats(found: Sequence[str]) -> str:
    different = list(dict.fromkeys(filter(None, found)))
    return f"; found {listed(different)}" if different else ""


def listed(texts: "Sequence[str] | map[str]") -> str:
    """``"a, b, c, d, e and 12 more"``."""
    each = list(texts)
    more = f" and {len(each) - _NAMED} more" if len(each) > _NAMED else ""
    return ", ".join(each[:_NAMED]) + more


def read_text(path: Path, problems: Problems) -> str | None:
    """The text of a file as UTF-8, without a byte order mark; ``None``, with a problem noted, where it cannot be read."""
    try:
        return reading.read_text(path)
    except Unreadable as error:
        problems.add(path, error.line, error.problem)
        return None


def is_within(written: str) -> bool:
    """Whether ``written`` is a relative path that leads nowhere up, and can be one; symbolic links are not followed."""
    absolute = written.startswith(("/", "~")) or re.match("[A-Za-z]:/", written)
    parts = written.split("/")
    fits = len(written) <= _LONGEST and all(len(part.encode("utf-8", "replace")) <= _LONGEST_PART for part in parts)
    return bool(written) and fits and not absolute and "\\" not in written and ".." not in parts


def outside(folder: Path, written: str) -> str:
    """Why ``written`` is no path within ``folder``, an absolute path; empty where it is one, whether or not it is there."""
    if not is_within(written):
        return f"expected a path within the folder, with '/' between its parts, found {shown(written)}"
    if not is_inside(folder, folder / written):
        return f"{shown(written)} leads out of the folder by a symbolic link"
    return ""
