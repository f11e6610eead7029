"""``unsafeconcepts judge FILE.jsonl``: reads verdicts from responses that some other tool collected.

``{"question": 0, "response": "…"}`` gains ``"verdict"``; the question is its index, 0 to 4, or its text, on the image or
text-only. ``{"options": {"A": "…", …}, "response": "…"}`` gains ``"choice"``. Other keys are kept, the order too. The rule
judge writes every line before the next one is read; other judges are handed blocks of lines.
"""

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from harness_ext.benchmark.questions import IMAGE_QUESTIONS, NUM_QUESTIONS, TEXT_QUESTIONS
from harness_ext.common.errors import UserError, shown
from harness_ext.common.failures import writable
from harness_ext.judges.base import AlignmentAnswer, Answer, BatchJudge, PerceptionAnswer, verdicts
from harness_ext.judges.registry import JudgeSpec
from harness_ext.judges.rules import RuleJudge
from harness_ext.records import FAILED

# Lines that a judge of many answers is handed at once.
_BLOCK: Final = 256

_TEXT_FORMS: Final = tuple(
    re.compile(".+".join(re.escape(part) for part in question.split("{concept}")), re.IGNORECASE | re.DOTALL)
    for question in TEXT_QUESTIONS
)


class BadInputError(ValueError):
    """A line is invalid; the message says why in one or two lines."""


def judge_file(path: str, spec: JudgeSpec) -> int:
    """Print the lines of ``path`` (``"-"`` for standard input), judged; returns 2 where one is invalid, after those before.

    Raises:
        UserError: The file or the judge cannot be opened, or the judge gives an invalid verdict or fails on every answer.
    """
    judge = spec.open()
    if path == "-":
        return _run(sys.stdin, path, judge)
    try:
        lines = open(path, encoding="utf-8")  # noqa: SIM115 - closed below; only a failure to open is reported here
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); expected a file of JSON lines, or - for stdin"
        ) from error
    with lines:
        return _run(lines, path, judge)


def _run(lines: Iterable[str], path: str, judge: BatchJudge) -> int:
    answers = failed = status = 0
    try:
        for block in _blocks(lines, path, 1 if isinstance(judge, RuleJudge) else _BLOCK):
            answers += len(block)
            for (row, answer), verdict in zip(block, verdicts(judge, [each for _, each in block]), strict=True):
                key = "verdict" if isinstance(answer, AlignmentAnswer) else "choice"
                print(_json_line({**row, key: verdict}), flush=True)
                failed += verdict == FAILED
    except BrokenPipeError:
        # Whoever read the output has seen enough; the interpreter must not try to flush the rest when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except BadInputError as error:
        print(error, file=sys.stderr)
        status = 2
    if failed and failed == answers:
        raise UserError(f"judge {judge.name} failed on every answer")
    if failed:
        print(f"the judge {judge.name} failed on {failed} of {answers} answers", file=sys.stderr)
    return status


def _blocks(lines: Iterable[str], path: str, size: int) -> Iterator[list[tuple[dict[str, Any], Answer]]]:
    """The rows and their answers, so many at a time; raises BadInputError after those before an invalid line."""
    block: list[tuple[dict[str, Any], Answer]] = []
    number, problem = 0, ""
    try:
        for line in lines:
            number += 1
            if line.strip():
                row, answer = read_answer(line)
                _json_line(row)
                block.append((row, answer))
            if len(block) == size:
                yield block
                block = []
    except UnicodeDecodeError as error:
        problem = f"{path}, after line {number}: expected UTF-8 text, found {error}"
    except BadInputError as error:
        problem = f"{path}, line {number}: {error}"
    except RecursionError:
        problem = (
            f"{path}, line {number}: expected JSON of a few levels, found lists or objects nested too deeply to read; "
            "remove that key"
        )
    yield block
    if problem:
        raise BadInputError(problem)


def _json_line(row: Mapping[str, Any]) -> str:
    """One line of JSON; half a surrogate pair, which no UTF-8 can carry, stays the escape it came as."""
    return writable(json.dumps(row, ensure_ascii=False))


def read_answer(line: str) -> tuple[dict[str, Any], Answer]:
    """The object of one line, and the answer in it; raises BadInputError for one that asks for no verdict."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadInputError(f"expected one JSON object, found {_short(line.strip())} ({error.msg})") from error
    if not isinstance(row, dict):
        raise BadInputError(f"expected one JSON object, found {_short(row)}")
    if "response" not in row or ("question" in row) == ("options" in row):
        raise BadInputError(
            f'expected the keys "response" and either "question" or "options", found {", ".join(row) or "no keys"}'
        )
    response = row["response"]
    if not isinstance(response, str):
        raise BadInputError(f'expected a string as "response", found {_short(response)}')
    if "options" in row:
        return row, PerceptionAnswer(_options(row["options"]), response)
    question = row["question"]
    return row, AlignmentAnswer(_index(question), response, question if isinstance(question, str) else "")


def _index(question: object) -> int:
    """The index of a question given as index or as text (image form, or text-only with any concept)."""
    if isinstance(question, int) and not isinstance(question, bool) and 0 <= question < NUM_QUESTIONS:
        return question
    if isinstance(question, str):
        text = " ".join(question.split())
        for index, asked in enumerate(IMAGE_QUESTIONS):
            if text.casefold() == asked.casefold() or _TEXT_FORMS[index].fullmatch(text):
                return index
    raise BadInputError(
        f'expected as "question" an index from 0 to {NUM_QUESTIONS - 1} or the text of one of the five questions, '
        f"found {_short(question)}"
    )


def _options(options: object) -> Mapping[str, str]:
    letters = isinstance(options, dict) and options and all(len(letter) == 1 and letter.isupper() for letter in options)
    if not isinstance(options, dict) or not letters or not all(isinstance(text, str) for text in options.values()):
        raise BadInputError(
            f'expected as "options" capital letters with their texts, {{"A": "…", …}}, found {_short(options)}'
        )
    return options


def _short(value: object) -> str:
    return shown(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
