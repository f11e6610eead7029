"""One task's sample rows, as lmms-eval writes them with ``--log_samples``, back to judged answers.

Everything is checked on the way in: a verdict outside the vocabulary would crash no metric, it would be counted as wrong.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from harness_ext.benchmark.base import Benchmark
from harness_ext.benchmark.probes import OF_RECORD, Probe, Task
from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed
from harness_ext.common.options import problem
from harness_ext.common.reading import NotJson, Unreadable, parse_object
from harness_ext.common.reading import read_lines as lines_of
from harness_ext.judges.lines import BadInputError
from harness_ext.records import FAILED, GENERATED, NA, UNSAFE, Judgement
from harness_ext.registry import number_of_questions, task_named
from harness_ext.runs.evaluations import BENCHMARKS, Evaluation, NotWhole
from harness_ext.runs.forms import ROW

Result = TypeVar("Result")

KEY: Final = "judgement"
_JUDGEMENT: Final = TypeAdapter(Judgement)

_KNOWN: Final = {field.name for field in fields(Judgement)}
# Older records lack some of the others.
_REQUIRED: Final = {field.name for field in fields(Judgement) if field.default is MISSING}
_NO_VERDICT: Final = {NA, FAILED}


def read_judged(evaluation: Evaluation, task: str) -> Iterator[tuple[int, dict[str, Any], Judgement]]:
    """The sample rows of one of this project's tasks with their judged answers, one at a time.

    Yields:
        The line's number, the row, and its judged answer; nothing for a task whose rows hold no judgement at all.

    Raises:
        UserError: Naming file and line: the file is missing, or has another number of rows than the results file promises; a
            line is not JSON, an answer not judged, not of this version, or not of the task's source and way; a document is
            answered twice.
    """
    path, asked = evaluation.require_samples(task), task_named(task)
    told = evaluation.content["config"].get(BENCHMARKS, {}).get(asked.source)
    seen: set[Any] = set()
    judged = False
    unjudged: int | None = None
    for number, row in read_rows(path, evaluation.rows(task)):
        if row.get("doc_id") in seen:
            raise UserError(
                f"{path}, line {number}: document {row.get('doc_id')} is there twice, expected once: two runs wrote into "
                "this file, or the task has more than one filter. Run the evaluation again into an empty folder."
            )
        seen.add(row.get("doc_id"))
        if KEY not in row:
            unjudged = unjudged or number
        judged = judged or KEY in row
        if judged and unjudged:
            raise _other_version(path, unjudged, f"expected a judged answer under {KEY!r}, found none")
        if judged:
            try:
                record = _judgement(row, asked, told)
            except ValueError as error:
                raise _other_version(path, number, error) from error
            yield number, row, record


def read_samples(evaluation: Evaluation, task: str) -> tuple[Judgement, ...]:
    """The judged answers of :func:`read_judged` alone, in the file's order."""
    return tuple(record for _, _, record in read_judged(evaluation, task))


def read_rows(path: Path, expected_rows: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a file of samples with the numbers of their lines, one at a time: a file can be larger than memory.

    Raises:
        UserError: Naming the file: it has another number of rows than ``expected_rows``, the results file's, or a line is no
            JSON object.
    """
    expected = "the samples of an evaluation"
    if (found := sum(1 for _ in _numbered(path, expected))) != expected_rows:
        raise NotWhole(
            f"{path}: expected {expected_rows} rows, found {found}: the run was cut off while writing, or two runs wrote "
            "into this file. Run the evaluation again into an empty folder."
        )
    for number, line in _numbered(path, expected):
        yield number, _parse(line, path, number)


def read_lines(path: Path, read: Callable[[str], Result], expected: str) -> Iterator[Result]:
    """What ``read`` makes of each line of a file that a user wrote, one at a time; empty lines are left out.

    Raises:
        UserError: Naming the file: it cannot be read (``expected`` says what should be there); or ``read`` raised
            ``BadInputError`` for a line.
    """
    for number, line in _numbered(path, expected):
        if not line.strip():
            continue
        try:
            yield read(line)
        except BadInputError as error:
            raise UserError(f"{path}, line {number}: {error}") from error


def _numbered(path: Path, expected: str) -> Iterator[tuple[int, str]]:
    try:
        yield from lines_of(path)
    except Unreadable as error:
        raise UserError(f"{error}. Expected {expected}.") from error


def holds_failure(row: Mapping[str, Any]) -> bool:
    """Whether a row of any benchmark, in either harness's form, holds a request that failed."""

    def texts(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            for each in value:
                yield from texts(each)

    return any(is_failed(text) for text in texts(row.get("filtered_resps")))


def _other_version(path: Path, number: int, error: ValueError | str) -> UserError:
    return UserError(f"{path}, line {number}: {error}. Was it written by another version of this project?")


def _parse(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        row = parse_object(line, path, number)
    except NotJson as error:
        raise NotWhole(f"{error}: the run was cut off while writing. Run it again.") from error
    try:
        ROW.validate_python(row, strict=True)
    except ValidationError as error:
        raise _other_version(path, number, problem(error)) from error
    return row


def _judgement(row: dict[str, Any], asked: Task, told: Mapping[str, str] | None) -> Judgement:
    """The row's record. Raises ``ValueError`` that says what is wrong with it."""
    values = row.get(KEY)
    if not isinstance(values, dict):
        raise ValueError(f"expected a judged answer under {KEY!r}, found {type(values).__name__}")
    if missing := sorted(_REQUIRED - values.keys()):
        raise ValueError(f"not a judged answer: missing {missing}, found {sorted(values)}")
    if unknown := sorted(values.keys() - _KNOWN):
        raise ValueError(f"not a judged answer of this version: unknown {unknown}")
    try:
        # As JSON, because strict Python validation takes instances only.
        record = _JUDGEMENT.validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        raise ValueError(problem(error)) from error
    if record.source != asked.source:
        raise ValueError(f"expected an answer of {asked.source}, found one of {record.source}")
    if record.way != asked.way:
        raise ValueError(f"expected an answer of the way {asked.way!r} by the task's name, found {record.way!r}")
    if (probe := OF_RECORD.get(record.probe)) is None:
        raise ValueError(f"probe: expected one of {', '.join(OF_RECORD)}, found {record.probe!r}")
    _check_question(record, probe, asked.benchmark, told)
    vocabulary = set(probe.verdicts)
    if vocabulary and record.verdict not in vocabulary | _NO_VERDICT:
        raise ValueError(f"expected a verdict of {sorted(vocabulary | _NO_VERDICT)}, found {record.verdict!r}")
    if (vocabulary and record.expected not in vocabulary) or record.expected in _NO_VERDICT:
        raise ValueError(f"expected a right verdict that can be given, found {record.expected!r}")
    _check_scores(record)
    return record


def _check_question(record: Judgement, probe: Probe, benchmark: Benchmark, told: Mapping[str, str] | None) -> None:
    """Raise ``ValueError`` for a question or category that the benchmark does not have.

    A user's benchmark may have changed since: what the results tell of it counts, and they name no categories.
    """
    below = probe.questions(benchmark)
    if told and below > 1:
        below = number_of_questions(told)
    if not 0 <= record.question < below:
        raise ValueError(f"expected question to be below {below} ({record.probe}), found {record.question}")
    known = () if told else benchmark.categories
    if known and record.label == UNSAFE and probe.unit == "concept" and record.category not in known:
        raise ValueError(f"expected one of the {len(known)} categories of {benchmark.name}, found {record.category!r}")


def _check_scores(record: Judgement) -> None:
    """An answer by likelihood has a finite score for each label, any other has none; raises ``ValueError``."""
    if record.way == GENERATED or record.verdict == FAILED:
        if record.scores is not None:
            raise ValueError(f"expected no scores of a {record.way} answer ({record.verdict}), found {record.scores}")
        return
    labels = set(OF_RECORD[record.probe].scored)
    scores = record.scores or {}
    if not labels or scores.keys() != labels or not all(map(math.isfinite, scores.values())):
        raise ValueError(f"expected finite scores of {sorted(labels)} ({record.probe}), found {record.scores}")
