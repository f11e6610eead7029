"""``unsafeconcepts judge RUN --judge NAME``: judges a saved run again; ``judge FILE.jsonl`` judges responses of any origin.

A run is a result folder of lmms-eval with its samples. Nothing is asked again: a new result folder is written beside the old
one, which every other command reads like any run. The same command resumes what was interrupted. A file's judged lines are
printed: {"question": 0, "response": "…"} gains "verdict", {"options": {"A": "…"}, "response": "…"} "choice".
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness_ext.common.errors import UserError, exit_status
from harness_ext.judges.registry import add_judge_options, judge_spec

_PROG: Final = "unsafeconcepts judge"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 2, with a message, when what was asked for cannot be."""
    options = _parser().parse_args(argv)
    return exit_status(_PROG, lambda: (_judge_run if Path(options.answers).is_dir() else _judge_file)(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_PROG, description=__doc__.split("\n\n")[1])
    parser.add_argument(
        "answers",
        metavar="RUN|FILE.jsonl",
        help='a result folder of lmms-eval, or responses, one JSON object a line ("-" for standard input)',
    )
    add_judge_options(parser)
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="the new result folder (default: RUN__JUDGE, beside RUN)"
    )
    return parser


def _judge_file(options: argparse.Namespace) -> int:
    from harness_ext.judges.command import judge_file

    if options.output:
        raise UserError("-o is for runs; the judged lines of a file are printed")
    return judge_file(options.answers, judge_spec(options))


def _judge_run(options: argparse.Namespace) -> int:
    from harness_ext.runs.rejudge import judge_again

    if options.judge is None:
        raise UserError(
            f"{options.answers}: expected --judge NAME: a run is judged already, by whom is it to be judged again?"
        )
    run = Path(options.answers)
    outcome = judge_again(run, judge_spec(options), options.output)
    for path in sorted(run.rglob("results_????-??-??T*.json")):
        print(f"{path} is left out: an evaluation by lm-eval, whose answers are not judged again.", file=sys.stderr)
    judged = {evaluation.of.path for evaluation in outcome.evaluations}
    for path in sorted(set(run.rglob("*_results.json")) - judged):
        print(f"{path} is left out: it is cut off or lacks samples, and newer evaluations are there.", file=sys.stderr)
    for evaluation in outcome.evaluations:
        where = f"{evaluation.of.path.relative_to(run)}: " if len(outcome.evaluations) > 1 else ""
        for task, why in evaluation.kept.items():
            print(f"{where}{task} keeps its judge ({why}).", file=sys.stderr)
        for task, count in evaluation.judge_failed.items():
            of = evaluation.answers[task]
            print(f"{where}{task}: the judge failed on {count} of {of} answers; they count as failed.", file=sys.stderr)
    counts = [count for evaluation in outcome.evaluations for count in evaluation.answers.values()]
    print(f"{sum(counts)} answers of {len(counts)} tasks, judged by {outcome.judge}: {outcome.folder}")
    return 0
