"""``unsafeconcepts judge FILE.jsonl``: reads verdicts from responses that some other tool collected.

Each line of the file is one response. ``{"question": 0, "response": "…"}`` gains ``"verdict"``; the question is its index,
0 to 4, or its text, on the image or text-only. ``{"options": {"A": "…", …}, "response": "…"}`` gains ``"choice"``. Other
keys are kept, the order too. By the rule judge every line is written before the next one is read; a judge that reads many
answers at once (``--judge NAME``) is handed blocks of lines. An answer on which the judge itself fails is ``"failed"``.
"""

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from harness_ext.benchmark.questions import IMAGE_QUESTIONS, NUM_QUESTIONS, TEXT_QUESTIONS
from harness_ext.common.errors import UserError, shown
from harness_ext.common.failures import writable
from harness_ext.judges.base import AlignmentAnswer, Answer, BatchJudge, PerceptionAnswer, verdicts
from harness_ext.judges.registry import JudgeSpec
from harness_ext.judges.rules import RuleJudge
from harness_ext.records import FAILED

BAD_INPUT: Final = 2
# Lines that a judge of many answers is handed at once.
_BLOCK: Final = 256

_TEXT_FORMS: Final = tuple(
    re.compile(".+".join(re.escape(part) for part in question.split("{concept}")), re.IGNORECASE | re.DOTALL)
    for question in TEXT_QUESTIONS
)


class BadInputError(ValueError):
    """What is wrong with the input, for the person who gave it: one or two lines, without file and line number."""


def judge_file(path: str, spec: JudgeSpec) -> int:
    """Print the lines of ``path`` (``"-"`` for standard input), judged; returns the exit code, 0 or 2.

    Raises:
        UserError: The judge cannot be loaded, gives what is no verdict, or fails on every answer.
    """
    judge = spec.open()
    if path == "-":
        return _run(sys.stdin, path, judge)
    try:
        lines = open(path, encoding="utf-8")  # noqa: SIM115 - closed below; only a failure to open is reported here
    except OSError as error:
        print(
            f"{path}: cannot be read ({error.strerror}); expected a file of JSON lines, or - for stdin", file=sys.stderr
        )
        return BAD_INPUT
    with lines:
        return _run(lines, path, judge)


def _run(lines: Iterable[str], path: str, judge: BatchJudge) -> int:
    size = 1 if isinstance(judge, RuleJudge) else _BLOCK
    number = answers = failed = 0
    block: list[tuple[dict[str, Any], Answer]] = []
    problem = None
    try:
        try:
            for line in lines:
                number += 1
                if line.strip():
                    block.append(_read_line(line))
                    answers += 1
                if len(block) == size:
                    failed += _print_judged(block, judge)
                    block = []
        except UnicodeDecodeError as error:
            problem = f"{path}, after line {number}: expected UTF-8 text, found {error}"
        except BadInputError as error:
            problem = f"{path}, line {number}: {error}"
        failed += _print_judged(block, judge)
    except BrokenPipeError:
        # Whoever read the output has seen enough; the interpreter must not try to flush the rest when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if problem:
        print(problem, file=sys.stderr)
    if failed and failed == answers:
        raise UserError(f"judge {judge.name} failed on every answer")
    if failed:
        print(f"the judge {judge.name} failed on {failed} of {answers} answers", file=sys.stderr)
    return BAD_INPUT if problem else 0


def _print_judged(block: Sequence[tuple[dict[str, Any], Answer]], judge: BatchJudge) -> int:
    """Print lines with their verdicts, each as soon as it is known; returns on how many of them the judge failed."""
    failed = 0
    for (row, answer), verdict in zip(block, verdicts(judge, [answer for _, answer in block]), strict=True):
        key = "verdict" if isinstance(answer, AlignmentAnswer) else "choice"
        print(_json_line({**row, key: verdict}), flush=True)
        failed += verdict == FAILED
    return failed


def _read_line(line: str) -> tuple[dict[str, Any], Answer]:
    try:
        row, answer = read_answer(line)
        _json_line(row)
    except RecursionError as error:
        raise BadInputError(
            "expected JSON of a few levels, found lists or objects nested too deeply to read; remove that key"
        ) from error
    return row, answer


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
    return row, AlignmentAnswer(question_index(question), response, question if isinstance(question, str) else "")


def question_index(question: object) -> int:
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
