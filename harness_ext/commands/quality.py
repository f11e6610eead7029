"""``unsafeconcepts quality RUN…``: how sound and how informative answers are, rated from 1 to 5 by a judge and by people.

With --judge a language model rates the answers by a fixed rubric; a start that was cut off resumes. With --sheet a blinded
sheet is written for people, and --ratings with --key reads it back. Ratings lie beside a run's samples; every call but that
of --sheet ends with the means of all raters and with how far they agree.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from harness_ext.common.errors import UserError, exit_status
from harness_ext.common.files import require_writable, without_nan, write_text
from harness_ext.common.output import CommandParser, say
from harness_ext.judges.registry import RATERS, add_judge_options, rater_spec
from harness_ext.registry import task_named
from harness_ext.report.blocks import console, json_document, markdown_document, markdown_text, print_blocks
from harness_ext.report.quality import agreement_block, rater_agreements, ratings_block, ratings_json
from harness_ext.report.sheet import read_key, read_sheet, write_sheet
from harness_ext.runs.ratings import RateableTask, Ratings, rate, rateable_tasks, read_ratings, write_people

_PROG: Final = "unsafeconcepts quality"
_PIPED_WIDTH: Final = 120
_LEAST_WIDTH: Final = 80


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 2, with a message, when what was asked for cannot be."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(arguments)
    return exit_status(_PROG, lambda: _run(options, ["unsafeconcepts", "quality", *arguments]))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog=_PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="result folders of lmms-eval with samples, one model each"
    )
    add_judge_options(parser, ", ".join(RATERS))
    parser.add_argument(
        "--task",
        metavar="NAME",
        action="append",
        default=[],
        help="only this task or group, * for anything; may be repeated (default: TEST, or image alignment without it)",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="so many answers of each task, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of drawing answers (default: %(default)s)")
    parser.add_argument("--sheet", type=Path, metavar="FOLDER", help="write a blinded sheet for people, and its key")
    parser.add_argument(
        "--ratings",
        type=Path,
        action="append",
        default=[],
        metavar="NAME.csv",
        help="read a sheet that NAME filled in; may be repeated",
    )
    parser.add_argument("--key", type=Path, metavar="key.json", help="the key of that sheet")
    parser.add_argument("--markdown", type=Path, metavar="OUT.md", help="write the tables as Markdown too")
    parser.add_argument("--json", type=Path, metavar="OUT.json", help="write all the numbers as JSON too")
    return parser


def _run(options: argparse.Namespace, command: Sequence[str]) -> None:
    _check(options)
    spec = rater_spec(options) if options.judge else None
    tasks = [task for run in options.runs for task in rateable_tasks(run, options.task, options.seed)]
    if len(sources := {task_named(task.task).source for task in tasks}) > 1:
        raise UserError(f"tasks of {' and of '.join(sorted(sources))} do not belong into one table: choose with --task")
    if len({task.samples_sha256 for task in tasks}) < len(tasks):
        raise UserError("two of the runs hold the same answers: give each run once")
    if options.sheet:
        lines = write_sheet(options.sheet, tasks, options.limit, options.seed)
        say(
            f"{lines} answers to rate: {options.sheet}. Give raters sheet.html or sheet.csv, and keep key.json to yourself."
        )
        return
    if spec:
        rate(tasks, spec.open(), spec.options["rubric"], spec.options, options.limit)
    for path in options.ratings:
        _read_people(path, options.key, tasks)
    _report(tasks, options, command)


def _check(options: argparse.Namespace) -> None:
    if sum(map(bool, (options.judge, options.sheet, options.ratings))) > 1:
        raise UserError("expected one of --judge, --sheet and --ratings")
    if bool(options.ratings) != bool(options.key):
        raise UserError(
            "--ratings and --key belong together: the sheet that was filled in, and the key.json of that sheet"
        )
    if len({path.stem for path in options.ratings}) < len(options.ratings):
        raise UserError("--ratings: two files have one name, and the name is the rater's: rename one of them")
    if (options.judge_args or options.judge_arg) and not options.judge:
        raise UserError(f"--judge_args: expected --judge, one of {', '.join(RATERS)}")
    if options.limit is not None and options.limit < 1:
        raise UserError(f"--limit must be at least 1, found {options.limit}")
    require_writable([options.markdown, options.json])


def _read_people(path: Path, key_file: Path, tasks: Sequence[RateableTask]) -> None:
    """Write the ratings of one sheet into the runs that they are of."""
    key = read_key(key_file)
    rated = read_sheet(path, key)
    there = {task.samples_sha256: task for task in tasks}
    known = {samples for of in key.answers.values() for samples, _ in of}
    if not known & there.keys():
        raise UserError(f"{key_file}: is of none of these runs' answers. Name the tasks of the sheet with --task.")
    if absent := known - there.keys():
        say(f"{path}: ratings of {len(absent)} runs or tasks that were not given are left out.", file=sys.stderr)
    for samples in known & there.keys():
        task = there[samples]
        grades = {
            answer: rated[line]
            for line, of in key.answers.items()
            if line in rated
            for at, answer in of
            if at == samples
        }
        if wrong := grades.keys() - task.answers.keys():
            raise UserError(f"{key_file}: {next(iter(wrong))} is not among the answers of {task.samples}")
        if grades:
            write_people(task, f"people:{path.stem}", key.rubric, key.seed, grades)


def _report(tasks: Sequence[RateableTask], options: argparse.Namespace, command: Sequence[str]) -> None:
    found: list[tuple[RateableTask, list[Ratings]]] = [(task, read_ratings(task.samples)) for task in tasks]
    if not any(ratings for _, ratings in found):
        raise UserError(
            f"nothing is rated yet: add --judge {RATERS[0]} --judge_args model=MODEL, or --sheet FOLDER for people"
        )
    agreements = rater_agreements([ratings for _, ratings in found])
    blocks = [ratings_block([(f"{task.run}, {task.task}", each) for task, ratings in found for each in ratings])]
    blocks += [agreement_block(agreements)] if agreements else []
    title = task_named(tasks[0].task).benchmark.full_title
    print_blocks(title, blocks, console(_PIPED_WIDTH, _LEAST_WIDTH))
    if options.markdown:
        write_text(options.markdown, markdown_document(command, [f"# {markdown_text(title)}", *blocks]))
    if options.json:
        rated = [
            {"run": str(task.run), "task": task.task, **ratings_json(each)}
            for task, ratings in found
            for each in ratings
        ]
        content = {"ratings": rated, "agreement": [asdict(each) for each in agreements]}
        write_text(options.json, json_document(command, without_nan(content)))
