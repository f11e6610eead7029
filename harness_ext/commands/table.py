"""``unsafeconcepts table RUN``: the table, and if asked for the figure, of an evaluation's result folder."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from harness_ext.common.errors import UserError, exit_status
from harness_ext.common.files import require_writable, without_nan, write_text
from harness_ext.common.output import CommandParser
from harness_ext.report.blocks import console, json_document
from harness_ext.report.quality import Quality, quality_blocks, quality_of
from harness_ext.report.scores import Summary
from harness_ext.report.summary import summarise
from harness_ext.runs.load import Run, load_runs

_PROG: Final = "unsafeconcepts table"
_PIPED_WIDTH: Final = 120
_LEAST_WIDTH: Final = 80


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 2, with a message, when what was asked for cannot be."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(arguments)
    return exit_status(_PROG, lambda: _report(options, ["unsafeconcepts", "table", *arguments]))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog=_PROG, description=__doc__)
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder given to lmms_eval as --output_path")
    parser.add_argument("--model", metavar="NAME", help="only this model (default: the newest run of each)")
    parser.add_argument("--task", metavar="NAME", action="append", default=[], help="only this task; may be repeated")
    parser.add_argument("--figure", type=Path, metavar="OUT.png", help="write a figure, as PNG and as SVG beside it")
    parser.add_argument(
        "--calibration", type=Path, metavar="OUT.png", help="write a figure of the calibration by likelihood, likewise"
    )
    parser.add_argument("--markdown", type=Path, metavar="OUT.md", help="write the tables as Markdown")
    parser.add_argument("--json", type=Path, metavar="OUT.json", help="write all the numbers as JSON")
    return parser


def _report(options: argparse.Namespace, command: Sequence[str]) -> None:
    from harness_ext.report.figures import draw, draw_calibration, figure_files, write_figure
    from harness_ext.report.tables import markdown, print_tables

    figures = {draw: options.figure, draw_calibration: options.calibration}
    require_writable([*figure_files(figures.values()), options.markdown, options.json])
    loaded = load_runs(options.run, options.model, options.task)
    runs = [(run, summarise(run.answers, run.likelihood), quality_of(run)) for run in loaded]
    if any(figures.values()) and len(runs) > 1:
        found = "; ".join(f"{run.model} on {run.source}" for run, *_ in runs)
        raise UserError(f"a figure shows one model and source; found {found}. Choose with --model or --task.")

    printed_on = console(_PIPED_WIDTH, _LEAST_WIDTH)
    for run, summary, quality in runs:
        print_tables(run, summary, printed_on, quality_blocks(quality))
    if options.markdown:
        tables = [(run, summary, quality_blocks(quality)) for run, summary, quality in runs]
        write_text(options.markdown, markdown(tables, command))
    if options.json:
        write_text(options.json, json_document(command, {"runs": [_as_json(*each) for each in runs]}))
    for drawn, path in figures.items():
        if path:
            write_figure(partial(drawn, *runs[0][:2]), path)


def _as_json(run: Run, summary: Summary, quality: Quality) -> dict[str, object]:
    return {
        "model": run.model,
        "source": run.source,
        "settings": dict(run.settings),
        "notes": list(run.notes),
        "diversity": dict(run.diversity),
        "summary": summary.to_json(),
        "quality": without_nan(quality.to_json()),
    }
