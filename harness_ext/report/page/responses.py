"""Every response of a chapter's runs, as columns: an item is one question about one row, with one answer a run.

The judged answers of a run hold no text. It is read here from the same sample rows, in the same order.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness_ext.benchmark.probes import OF_RECORD, ImageCollection
from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed, reason_of
from harness_ext.records import FAILED, Judgement
from harness_ext.report.page.runs import Chapter
from harness_ext.runs.load import Run

NOT_ASKED: Final = -1
_ITEM: Final = ("task", "category", "concept", "label", "row", "number", "question", "expected")


class Numbered(dict[str, int]):
    """Different texts, each with the number of its first appearance."""

    def __missing__(self, text: str) -> int:
        self[text] = len(self)
        return self[text]


@dataclass
class Responses:
    """A chapter's items and answers; all columns hold the numbers of texts, or rows.

    Attributes:
        texts: Questions and responses.
        names: Tasks, categories, concepts, verdicts.
        items: A number for every item in each of the columns ``task``, ``category``, ``concept``, ``label``, ``row``,
            ``number`` (of the question, from 0), ``question`` (its text) and ``expected``.
        answers: For every run the columns ``response`` and ``verdict``, with ``NOT_ASKED`` where it was not asked.
        pictured: The tasks that show the row's own image, and of which of the source's collections.
        count: How many answers there are.
    """

    texts: Numbered = field(default_factory=Numbered)
    names: Numbered = field(default_factory=Numbered)
    items: dict[str, list[int]] = field(default_factory=dict)
    answers: list[dict[str, list[int]]] = field(default_factory=list)
    pictured: dict[int, ImageCollection] = field(default_factory=dict)
    count: int = 0


def read_responses(chapter: Chapter) -> Responses:
    """Read the responses of all runs of a chapter.

    Raises:
        UserError: Naming file and line, for a row whose response or question is no text.
    """
    responses = Responses(items={name: [] for name in _ITEM})
    at: dict[tuple[int, ...], int] = {}
    for shown in chapter.shown:
        answered = {}
        for task, record, question, response in _rows(shown.run):
            item = _item(responses, task, record, question)
            if record.probe != "text":
                responses.pictured[item[0]] = OF_RECORD[record.probe].collection
            position = at.setdefault(item, len(at))
            if position == len(responses.items["row"]):
                for name, value in zip(_ITEM, item, strict=True):
                    responses.items[name].append(value)
            answered[position] = responses.texts[response], responses.names[record.verdict]
        responses.answers.append(_columns(answered))
        responses.count += len(answered)
    for columns in responses.answers:
        for column in columns.values():
            column += [NOT_ASKED] * (len(at) - len(column))
    return responses


def _item(responses: Responses, task: str, record: Judgement, question: str) -> tuple[int, ...]:
    """What tells one question from another, under the names of ``_ITEM``."""
    name = responses.names
    return (
        name[task],
        name[record.category],
        name[record.concept],
        name[record.label],
        record.row,
        record.question,
        responses.texts[question],
        name[record.expected],
    )


def _columns(answered: Mapping[int, tuple[int, int]]) -> dict[str, list[int]]:
    last = max(answered, default=-1)
    nothing = NOT_ASKED, NOT_ASKED
    pairs = [answered.get(position, nothing) for position in range(last + 1)]
    return {"response": [pair[0] for pair in pairs], "verdict": [pair[1] for pair in pairs]}


def _rows(run: Run) -> Iterator[tuple[str, Judgement, str, str]]:
    """Task, judged answer, question and response of every sample row."""
    for task, path in run.samples.items():
        records = run.likelihood[task] if task in run.likelihood else run.answers[task]
        for number, (record, row) in enumerate(zip(records, _lines(path), strict=True), start=1):
            question, response = row.get("input"), row.get("filtered_resps")
            if not isinstance(question, str) or not isinstance(response, str):
                found = f"{type(question).__name__} and {type(response).__name__}"
                raise UserError(
                    f"{path}, line {number}: expected a question ('input') and a response ('filtered_resps') as text, found "
                    f"{found}: of another version of lmms-eval?"
                )
            yield task, record, question, _said(record, response)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The rows, which were checked when the judged answers were read."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            yield json.loads(line)


def _said(record: Judgement, response: str) -> str:
    """What a reader is shown: the response, why there is none, or the probabilities that it stands for."""
    if record.verdict == FAILED and is_failed(response):
        return f"The request failed: {reason_of(response)}"
    if record.scores is not None:
        return ", ".join(f"P({label}) = {math.exp(score):.4f}" for label, score in record.scores.items())
    return response
