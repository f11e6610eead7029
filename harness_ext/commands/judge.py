"""``unsafeconcepts judge RUN --judge NAME``: judges a saved run again; ``judge FILE.jsonl`` judges responses of any origin.

A run is a result folder of lmms-eval with its samples. Nothing is asked again: a new result folder is written beside the old
one, which every other command reads like any run. The same command resumes what was interrupted. A file's judged lines are
printed: {"question": 0, "response": "…"} gains "verdict", {"options": {"A": "…"}, "response": "…"} "choice"; other keys stay.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from harness_ext.common.errors import UserError, exit_status
from harness_ext.common.failures import writable
from harness_ext.common.output import CommandParser, say
from harness_ext.common.reading import Unreadable, decoded, read_lines
from harness_ext.judges.base import AlignmentAnswer, Answer, BatchJudge, verdicts
from harness_ext.judges.lines import BadInputError, read_answer
from harness_ext.judges.registry import DEFAULT, JUDGES, add_judge_options, judge_spec
from harness_ext.judges.rules import RuleJudge
from harness_ext.records import FAILED

_PROG: Final = "unsafeconcepts judge"
# Lines that a judge of many answers is handed at once.
_BLOCK: Final = 256


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 2, with a message, when what was asked for cannot be."""
    options = _parser().parse_args(argv)
    return exit_status(_PROG, lambda: (_judge_run if Path(options.answers).is_dir() else _judge_file)(options))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog=_PROG, description=__doc__.split("\n\n")[1])
    parser.add_argument(
        "answers",
        metavar="RUN|FILE.jsonl",
        help='a result folder of lmms-eval, or responses, one JSON object a line ("-" for standard input)',
    )
    add_judge_options(parser, f"{', '.join(JUDGES)} (default, for a file: {DEFAULT})")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="the new result folder (default: RUN__JUDGE, beside RUN)"
    )
    return parser


def _judge_file(options: argparse.Namespace) -> int:
    if options.output:
        raise UserError("-o is for runs; the judged lines of a file are printed")
    judge, path = judge_spec(options).open(), options.answers
    return _judge_lines(decoded(sys.stdin.buffer, path) if path == "-" else read_lines(Path(path)), path, judge)


def _judge_lines(lines: Iterable[tuple[int, str]], path: str, judge: BatchJudge) -> int:
    """Print ``lines``, judged; returns 2 where one is invalid, after those before it.

    The rule judge writes every line before the next one is read; other judges are handed blocks of lines.
    """
    answers = failed = status = 0
    try:
        for block in _blocks(lines, path, 1 if isinstance(judge, RuleJudge) else _BLOCK):
            answers += len(block)
            for (row, answer), verdict in zip(block, verdicts(judge, [each for _, each in block]), strict=True):
                key = "verdict" if isinstance(answer, AlignmentAnswer) else "choice"
                say(_json_line({**row, key: verdict}), flush=True)
                failed += verdict == FAILED
    except BadInputError as error:
        say(error, file=sys.stderr)
        status = 2
    if failed and failed == answers:
        raise UserError(f"judge {judge.name} failed on every answer")
    if failed:
        say(f"the judge {judge.name} failed on {failed} of {answers} answers", file=sys.stderr)
    return status


def _blocks(lines: Iterable[tuple[int, str]], path: str, size: int) -> Iterator[list[tuple[dict[str, Any], Answer]]]:
    """The rows and their answers, so many at a time; raises BadInputError after those before an invalid line."""
    block: list[tuple[dict[str, Any], Answer]] = []
    number, problem = 0, ""
    try:
        for at, line in lines:
            number = at
            if line.strip():
                row, answer = read_answer(line)
                _json_line(row)
                block.append((row, answer))
            if len(block) == size:
                yield block
                block = []
    except Unreadable as error:
        problem = f"{error}; expected a file of JSON lines, or - for stdin"
    except BadInputError as error:
        problem = f"{path}, line {number}: {error}"
    yield block
    if problem:
        raise BadInputError(problem)


def _json_line(row: Mapping[str, Any]) -> str:
    """One line of JSON; half a surrogate pair, which no UTF-8 can carry, stays the escape it came as."""
    return writable(json.dumps(row, ensure_ascii=False))


def _judge_run(options: argparse.Namespace) -> int:
    from harness_ext.runs.rejudge import judge_again

    if options.judge is None:
        raise UserError(
            f"{options.answers}: expected --judge NAME: a run is judged already, by whom is it to be judged again?"
        )
    run = Path(options.answers)
    outcome = judge_again(run, judge_spec(options), options.output)
    for path in sorted(run.rglob("results_????-??-??T*.json")):
        say(f"{path} is left out: an evaluation by lm-eval, whose answers are not judged again.", file=sys.stderr)
    judged = {evaluation.of.path for evaluation in outcome.evaluations}
    for path in sorted(set(run.rglob("*_results.json")) - judged):
        say(f"{path} is left out: it is cut off or lacks samples, and newer evaluations are there.", file=sys.stderr)
    for evaluation in outcome.evaluations:
        where = f"{evaluation.of.path.relative_to(run)}: " if len(outcome.evaluations) > 1 else ""
        for task, why in evaluation.kept.items():
            say(f"{where}{task} keeps its judge ({why}).", file=sys.stderr)
        for task, count in evaluation.judge_failed.items():
            of = evaluation.answers[task]
            say(f"{where}{task}: the judge failed on {count} of {of} answers; they count as failed.", file=sys.stderr)
    counts = [count for evaluation in outcome.evaluations for count in evaluation.answers.values()]
    say(f"{sum(counts)} answers of {len(counts)} tasks, judged by {outcome.judge}: {outcome.folder}")
    return 0
