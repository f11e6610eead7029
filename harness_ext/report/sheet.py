"""Blinded sheets on which people rate answers, as CSV and as a page of HTML, and their ratings read back.

Neither says which model gave an answer, or what a judge read in it. Equal answers to the same
question about the same concept are one line, whoever gave them. ``key.json`` says whose they are.
"""

import base64
import csv
import hashlib
import io
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pydantic import TypeAdapter, ValidationError

from harness_ext.common.errors import UserError, one_line, shown
from harness_ext.common.files import require_writable, sha256, write_text
from harness_ext.common.output import neutral_text
from harness_ext.common.reading import Unreadable, parse_as, read_text
from harness_ext.judges.base import RatedAnswer
from harness_ext.judges.llm.prompt import QUALITY, load_rubric
from harness_ext.metrics.quality import HIGHEST, LOWEST
from harness_ext.report.blocks import csv_document
from harness_ext.runs.ratings import CRITERIA, Key, RateableTask

FILES: Final = ("sheet.csv", "sheet.html", "key.json")
_HEADER: Final = ("id", "shown", "question", "answer", *CRITERIA)
_GRADES: Final = tuple(map(str, range(LOWEST, HIGHEST + 1)))


@dataclass(frozen=True)
class SheetKey:
    """What ``key.json`` says.

    Attributes:
        rubric: The rubric's version.
        seed: Of drawing the answers and of their order.
        answers: By line, whose answers it is: the digest of the samples, and what names the answer in them.
    """

    rubric: str
    seed: int
    answers: Mapping[str, list[tuple[str, Key]]]


# --- writing ----------------------------------------------------------------------------------------------------------


def write_sheet(folder: Path, tasks: Sequence[RateableTask], limit: int | None, seed: int) -> int:
    """Write the sheet of the first ``limit`` answers of each task into ``folder``; returns how many lines it has.

    Raises:
        UserError: A file cannot be written, or a sheet is there already.
    """
    paths = [folder / name for name in FILES]
    require_writable(paths)
    if there := [path for path in paths if path.exists()]:
        raise UserError(f"{there[0]}: is there already, and people may have rated it. Choose another folder.")
    whose: dict[RatedAnswer, list[tuple[str, Key]]] = {}
    for task in tasks:
        for place, answer in list(task.answers.items())[:limit]:
            whose.setdefault(answer, []).append((task.samples_sha256, place))
    answers = sorted(whose, key=lambda each: (each.shown, each.prompt, each.response))
    random.Random(seed).shuffle(answers)
    # A sheet read with another one's key would give its grades to other answers: each line bears which sheet it is of.
    which = sha256(json.dumps([seed, *([a.shown, a.prompt, a.response] for a in answers)]))[:6]
    lines = {f"a{which}-{number:04}": answer for number, answer in enumerate(answers, start=1)}
    cells = [(name, a.shown, a.prompt, a.response, "", "") for name, a in lines.items()]
    key = SheetKey(QUALITY, seed, {name: whose[answer] for name, answer in lines.items()})
    # Excel takes a file for UTF-8 by this mark alone.
    write_text(paths[0], "\ufeff" + csv_document(_HEADER, cells))
    write_text(paths[1], _page(lines))
    write_text(paths[2], json.dumps(asdict(key), indent=1, ensure_ascii=False) + "\n")
    return len(lines)


def _page(lines: Mapping[str, RatedAnswer]) -> str:
    """The sheet as a page that needs no network and takes every text for text."""
    _, rubric = load_rubric(QUALITY).quality.split("\n\n", 1)
    script = Markup((files("harness_ext.report") / "sheet.js").read_text(encoding="utf-8"))
    hashed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    environment = Environment(
        loader=PackageLoader("harness_ext.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=neutral_text,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    content = sha256(json.dumps([[name, a.shown, a.prompt, a.response] for name, a in lines.items()]))
    return environment.get_template("sheet.html.jinja").render(
        lines=lines,
        rubric=rubric,
        criteria=CRITERIA,
        grades=_GRADES,
        script=script,
        script_hash=hashed,
        content=content,
    )


# --- reading ----------------------------------------------------------------------------------------------------------


def read_key(path: Path) -> SheetKey:
    """Read ``key.json``. Raises ``UserError`` where it is not one."""
    try:
        return parse_as(TypeAdapter(SheetKey), read_text(path), path)
    except (Unreadable, ValidationError) as error:
        raise UserError(f"{path}: expected the key.json of a sheet: {one_line(error)}") from error


def read_sheet(path: Path, key: SheetKey) -> dict[str, tuple[int, int]]:
    """The ratings of a sheet that was filled in, by line; lines without any are left out.

    Raises:
        UserError: Naming file and row: no such sheet, a line that is not in the key or twice, or a rating that is missing or
            not 1 to 5.
    """
    try:
        text = read_text(path)
    except Unreadable as error:
        raise UserError(f"{error}. Expected CSV in UTF-8.") from error
    first = text.partition("\n")[0]
    # Where the comma is for decimals, spreadsheets separate by semicolons.
    separator = ";" if first.count(";") > first.count(",") else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    if missing := [name for name in ("id", *CRITERIA) if name not in (reader.fieldnames or ())]:
        raise UserError(f"{path}, row 1: expected the columns id, {', '.join(CRITERIA)}; {', '.join(missing)} missing")
    found: dict[str, tuple[int, int]] = {}
    seen: set[str] = set()
    # By rows, as a spreadsheet counts them: an answer may be several lines.
    for number, row in enumerate(_rows(reader, path), start=2):
        where = f"{path}, row {number}"
        name, *given = ((row[column] or "").strip().removeprefix("'") for column in ("id", *CRITERIA))
        if not name and not any(given):
            continue
        if name not in key.answers:
            raise UserError(f"{where}: no answer {shown(name)} in this key: is it the key of another sheet?")
        if name in seen:
            raise UserError(f"{where}: {name} is there twice, expected once")
        seen.add(name)
        if any(given):
            if wrong := [
                f"{column} {grade!r}" for column, grade in zip(CRITERIA, given, strict=True) if grade not in _GRADES
            ]:
                raise UserError(
                    f"{where}, {name}: expected whole numbers from {LOWEST} to {HIGHEST}, found {', '.join(wrong)}"
                )
            found[name] = int(given[0]), int(given[1])
    if not found:
        raise UserError(f"{path}: nothing is rated in it")
    return found


def _rows(reader: "csv.DictReader[str]", path: Path) -> Iterator[dict[str, str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise UserError(f"{path}: is not CSV after line {reader.line_num} ({error})") from error
