"""``unsafeconcepts agreement RUN…``: how far judges agree on the same answers, and which answers they disagree on.

Give two or more runs that hold the same answers, judged differently (``unsafeconcepts judge RUN --judge NAME`` makes one), or
one run and ``--judges a,b``. With ``--human FILE.jsonl`` each judge is also held against people's labels.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness_ext.common.errors import UserError, exit_status
from harness_ext.common.files import require_writable, write_text
from harness_ext.common.output import CommandParser
from harness_ext.judges.registry import JUDGES, read_spec
from harness_ext.report.agreement import agree, as_csv, markdown, print_tables
from harness_ext.report.blocks import console, json_document
from harness_ext.runs.readings import read_labels, read_readings

_PROG: Final = "unsafeconcepts agreement"
_PIPED_WIDTH: Final = 140
_LEAST_WIDTH: Final = 100


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 2, with a message, when what was asked for cannot be."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(arguments)
    return exit_status(_PROG, lambda: _run(options, ["unsafeconcepts", "agreement", *arguments]))


def _run(options: argparse.Namespace, command: Sequence[str]) -> None:
    specs = [read_spec(text) for text in [*filter(None, options.judges.split(",")), *options.judge]]
    if len(specs or options.runs) < (1 if options.human else 2):
        raise UserError("expected at least two runs, or one and --judges a,b, or --human FILE.jsonl beside one")
    require_writable([options.markdown, options.json, options.csv, options.disagreements])
    readings = read_readings(options.runs, specs, options.task)
    labels = read_labels(options.human, readings) if options.human else None
    agreement = agree(readings, labels, options.seed)
    print_tables(agreement, console(_PIPED_WIDTH, _LEAST_WIDTH))
    if options.markdown:
        write_text(options.markdown, markdown(agreement, command))
    if options.json:
        write_text(options.json, json_document(command, agreement.to_json()))
    if options.csv:
        write_text(options.csv, as_csv(agreement))
    if options.disagreements:
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in agreement.disagreements)
        write_text(options.disagreements, "".join(lines))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog=_PROG, description=__doc__)
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="result folders of lmms-eval, of the same answers"
    )
    parser.add_argument(
        "--judges", metavar="a,b", default="", help=f"read one RUN with these judges: {', '.join(JUDGES)}"
    )
    parser.add_argument(
        "--judge",
        metavar="NAME:k=v,k=v",
        action="append",
        default=[],
        help="with this one, and its options; may be repeated",
    )
    parser.add_argument("--human", type=Path, metavar="FILE.jsonl", help="people's labels of some of the answers")
    parser.add_argument(
        "--task", metavar="NAME", action="append", default=[], help="only this task, * for anything; may be repeated"
    )
    parser.add_argument("--seed", type=int, default=0, help="of random weights (default: %(default)s)")
    parser.add_argument(
        "--disagreements", type=Path, metavar="FILE.jsonl", help="write the answers that judges disagree on"
    )
    for name, what in (("markdown", "md"), ("json", "json"), ("csv", "csv")):
        parser.add_argument(f"--{name}", type=Path, metavar=f"OUT.{what}", help=f"write it as {name} too")
    return parser
