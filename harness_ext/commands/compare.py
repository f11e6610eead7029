"""``unsafeconcepts compare BEFORE AFTER…``: is a model better than the first one, and did it keep its abilities?

Reads result folders of lmms-eval and of lm-eval, of this project's tasks and of other benchmarks, and pairs the runs
question by question. Two benchmarks of the same images show which verdicts follow the policy. Refuses runs that are not
comparable, with the reason.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness_ext.common.errors import UserError, exit_status
from harness_ext.common.files import require_writable, write_text
from harness_ext.common.output import CommandParser
from harness_ext.report.blocks import console, json_document
from harness_ext.report.compare.pairs import compare

_PROG: Final = "unsafeconcepts compare"
_PIPED_WIDTH: Final = 160
_LEAST_WIDTH: Final = 100


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 2, with a message, when what was asked for cannot be."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(arguments)
    return exit_status(_PROG, lambda: _run(options, ["unsafeconcepts", "compare", *arguments]))


def _run(options: argparse.Namespace, command: Sequence[str]) -> None:
    from harness_ext.report.compare import tables

    require_writable([options.markdown, options.json, options.csv, options.latex])
    comparison = compare(options.runs, options.margin, options.task, _metrics(options.metric), options.seed)
    tables.print_tables(comparison, console(_PIPED_WIDTH, _LEAST_WIDTH))
    if options.markdown:
        write_text(options.markdown, tables.markdown(comparison, command))
    if options.json:
        write_text(options.json, json_document(command, comparison.to_json()))
    if options.csv:
        write_text(options.csv, tables.as_csv(comparison))
    if options.latex:
        write_text(options.latex, tables.latex(comparison))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog=_PROG, description=__doc__)
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="folders given as --output_path, BEFORE first; or one that holds two benchmarks of one data set",
    )
    parser.add_argument(
        "--margin",
        type=float,
        metavar="SHARE",
        help="the loss that is acceptable, in all rows (default: 0.05 about text, 0.03 otherwise)",
    )
    parser.add_argument(
        "--task",
        metavar="NAME",
        action="append",
        default=[],
        help="only this task or group, * for anything; may be repeated",
    )
    parser.add_argument(
        "--metric",
        metavar="TASK=NAME",
        action="append",
        default=[],
        help="compare this metric of a task (TASK=NAME,FILTER too); may be repeated",
    )
    parser.add_argument("--seed", type=int, default=0, help="of random weights and swaps (default: %(default)s)")
    for name, what in (("markdown", "md"), ("json", "json"), ("csv", "csv"), ("latex", "tex")):
        parser.add_argument(f"--{name}", type=Path, metavar=f"OUT.{what}", help=f"write it as {name} too")
    return parser


def _metrics(given: Sequence[str]) -> dict[str, list[str]]:
    metrics: dict[str, list[str]] = {}
    for each in given:
        task, _, name = each.partition("=")
        if not task or not name:
            raise UserError(f"--metric {each}: expected TASK=NAME, such as hellaswag=acc_norm")
        metrics.setdefault(task, []).append(name)
    return metrics
