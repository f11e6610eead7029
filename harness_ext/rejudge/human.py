"""Labels given by people, and the answers that they are of.

A line is the label of one answer. The answer is named either by where it is, ``{"task": …, "row": …, "question": …}``, as
``unsafeconcepts agreement --disagreements`` writes it, or by what was said, ``{"question": …, "response": …}`` or
``{"options": …, "response": …}``; the label is its ``"verdict"`` (``safe``, ``unsafe``, ``na``) or, of a perception answer,
its ``"choice"`` (a letter, ``na``). A label by what was said counts once, for the first answer of these words.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness_ext.common.errors import UserError
from harness_ext.judges.base import AlignmentAnswer, Answer, PerceptionAnswer
from harness_ext.judges.command import BadInputError, read_answer
from harness_ext.metrics.records import NA
from harness_ext.rejudge.readings import Key, Readings

_PLACE: Final = ("task", "row", "question")
_ALIGNMENT: Final[tuple[str, ...]] = ("safe", "unsafe", NA)
_Said = tuple[object, str]


@dataclass(frozen=True)
class Labels:
    """Labels of answers.

    Attributes:
        of: The label of each labelled answer.
        unmatched: How many labels are of answers that are not there.
    """

    of: Mapping[Key, str]
    unmatched: int


def read_labels(path: Path, readings: Readings) -> Labels:
    """Read labels, and find the answers that they are of.

    Raises:
        UserError: Naming file and line: not readable, a label of no such kind, an answer labelled twice, other words than the
            answer's; or no label is of an answer that is there.
    """
    first_with: dict[_Said, Key] = {}
    for key, answer in readings.answers.items():
        first_with.setdefault(_said(answer), key)
    found: dict[Key, str] = {}
    unmatched = 0
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row, labelled = _row(line, first_with)
            if labelled is None or labelled not in readings.answers:
                unmatched += 1
                continue
            if labelled in found:
                task, place, question = labelled
                raise BadInputError(f"the answer {task}, row {place}, question {question} is labelled twice")
            found[labelled] = _label(row, readings.answers[labelled])
        except BadInputError as error:
            raise UserError(f"{path}, line {number}: {error}") from error
    if not found:
        raise UserError(
            f"{path}: none of its {unmatched} labels is of an answer of this run. Expected rows with task, row and question "
            "as --disagreements writes them, or with question (or options) and response."
        )
    return Labels(found, unmatched)


def _row(line: str, first_with: Mapping[_Said, Key]) -> tuple[dict[str, Any], Key | None]:
    """A line, and the key of its answer; ``None`` where no answer is of these words."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadInputError(f"expected one JSON object, found {line[:60]!r} ({error.msg})") from error
    if isinstance(row, dict) and "task" in row:
        task, at, question = (row.get(name) for name in _PLACE)
        if not isinstance(task, str) or not isinstance(at, int) or not isinstance(question, int):
            raise BadInputError(
                f"expected a text as task and numbers as row and question, found {task!r}, {at!r}, {question!r}"
            )
        return row, (task, at, question)
    row, answer = read_answer(line)
    return row, first_with.get(_said(answer))


def _label(row: Mapping[str, Any], answer: Answer) -> str:
    name, allowed = "verdict", _ALIGNMENT
    if isinstance(answer, PerceptionAnswer):
        name, allowed = "choice", (*answer.options, NA)
    if "response" in row and row["response"] != answer.response:
        raise BadInputError(f"the label is of {row['response']!r}, the run's answer is {answer.response!r}")
    if row.get(name) not in allowed:
        raise BadInputError(f'expected as "{name}" one of {", ".join(allowed)}, found {row.get(name)!r}')
    return str(row[name])


def _said(answer: Answer) -> _Said:
    asked = answer.question if isinstance(answer, AlignmentAnswer) else tuple(answer.options.items())
    return asked, answer.response
