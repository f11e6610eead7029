"""A leaderboard's file: read and checked as a whole, and written whole or not at all."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness_ext.common.errors import UserError
from harness_ext.common.files import write_text
from harness_ext.report.leaderboard.entry import Entry


def read_leaderboard(path: Path) -> list[Entry]:
    """The lines of the file, in its order.

    Raises:
        UserError: Naming file and line, of everything that is wrong with it: no JSON, a key that is missing or unknown, a
            figure that cannot be, a line that is there twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    entries: list[Entry] = []
    line_of: dict[tuple[object, ...], int] = {}
    problems = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = Entry.model_validate(_parsed(line))
        except ValidationError as error:
            problems += [f"line {number}: {_said(each)}" for each in error.errors()]
            continue
        except ValueError as error:
            problems.append(f"line {number}: {error}")
            continue
        if (first := line_of.setdefault(entry.identity, number)) != number:
            problems.append(
                f"line {number}: the same model, run and setting as line {first}; give each repetition a `run` of its own"
            )
        entries.append(entry)
    if problems:
        raise UserError("\n".join(f"{path}, {problem}" for problem in problems))
    if not entries:
        raise UserError(f"{path}: no line in it; the README beside the code describes one")
    return entries


def write_leaderboard(entries: Sequence[Entry], path: Path) -> None:
    """Write the lines. Raises ``UserError`` where that cannot be done."""
    write_text(path, "".join(as_line(entry) + "\n" for entry in entries))


def as_line(entry: Entry) -> str:
    """The entry as one line of JSON, without what is not said in it."""
    return json.dumps(entry.model_dump(mode="json", exclude_none=True) | _said_date(entry), ensure_ascii=False)


def _said_date(entry: Entry) -> dict[str, Any]:
    """An unknown date is said, not left out."""
    return {"date": None} if entry.date is None else {}


def _parsed(line: str) -> Any:
    try:
        row = json.loads(line, object_pairs_hook=_no_key_twice)
    except json.JSONDecodeError as error:
        raise ValueError(f"expected one JSON object, found {line[:60]!r} ({error.msg})") from error
    if not isinstance(row, dict):
        raise ValueError(f"expected one JSON object, found {line[:60]!r}")
    return row


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a key that is there twice JSON keeps the last, without a word."""
    keys = [key for key, _ in pairs]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise ValueError(f"the key {twice[0]!r} is there twice")
    return dict(pairs)


def _said(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    return f"{where}: {error['msg']}" if where else str(error["msg"]).removeprefix("Value error, ")
