"""Saved answers with their texts: what a judge is handed, from one task's sample rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness_ext.benchmark.questions import perception_options
from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed
from harness_ext.judges.base import AlignmentAnswer, Answer, PerceptionAnswer
from harness_ext.metrics.records import FAILED, Judgement, Way
from harness_ext.report.samples import read_rows, read_samples


@dataclass(frozen=True)
class Saved:
    """One sample row.

    Attributes:
        record: How the answer was judged.
        row: The whole row.
        answer: What a judge can read; ``None`` where the request failed, which no judge reads.
    """

    record: Judgement
    row: dict[str, Any]
    answer: Answer | None


def read_saved(path: Path, source: str, rows: int, way: Way = "generated") -> Iterator[Saved]:
    """The rows of one task's file of samples, in its order; none for a task whose rows hold no judgement.

    Args:
        path: The file.
        source: The source that every answer must be from.
        rows: How many rows the run's results file promises.
        way: The way in which every question must have been asked.

    Raises:
        UserError: As ``read_samples`` does; and naming file and line for an answer that is no text, or a perception question
            whose options cannot be read.
    """
    records = read_samples(path, source, way, rows)
    if not records:
        return
    for record, (number, row) in zip(records, read_rows(path, rows), strict=True):
        try:
            yield Saved(record, row, _answer(record, row))
        except ValueError as error:
            raise UserError(
                f"{path}, line {number}: {error}. Was it written by another version of lmms-eval?"
            ) from error


def _answer(record: Judgement, row: dict[str, Any]) -> Answer | None:
    prompt, response = row.get("input"), row.get("filtered_resps")
    if not isinstance(prompt, str) or not isinstance(response, str):
        found = f"{type(prompt).__name__} and {type(response).__name__}"
        raise ValueError(f"expected a question ('input') and an answer ('filtered_resps') as text, found {found}")
    if record.verdict == FAILED and is_failed(response):
        return None
    if record.probe == "perception":
        return PerceptionAnswer(perception_options(prompt), response, prompt)
    return AlignmentAnswer(record.question, response, prompt)
