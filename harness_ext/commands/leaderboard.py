"""``unsafeconcepts leaderboard FILE``: checks a leaderboard's file, prints its tables, draws it, and adds lines to it."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness_ext.common.errors import UserError, exit_status
from harness_ext.common.files import alone_with, require_writable, write_text
from harness_ext.common.output import CommandParser, say
from harness_ext.report.leaderboard.file import METRICS, ORIGINS, Entry, read_leaderboard, write_leaderboard

_PROG: Final = "unsafeconcepts leaderboard"
_PIPED_WIDTH: Final = 230
_LEAST_WIDTH: Final = 230
_ADDING: Final = ("name", "training", "trained_on", "run", "origin", "source", "note")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 2, with a message, when what was asked for cannot be."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(arguments)
    return exit_status(_PROG, lambda: _run(options, ["unsafeconcepts", "leaderboard", *arguments]))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog=_PROG, description=__doc__)
    parser.add_argument(
        "file", type=Path, nargs="?", metavar="FILE.jsonl", help="the leaderboard, one JSON object a line"
    )
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of a line, and do nothing else")
    parser.add_argument("--check", action="store_true", help="only check it")
    parser.add_argument(
        "--sort", choices=METRICS, default="gap", help="what rows are ordered by (default: %(default)s)"
    )
    parser.add_argument("--markdown", type=Path, metavar="OUT.md", help="write the tables as Markdown")
    parser.add_argument("--csv", type=Path, metavar="OUT.csv", help="write all figures, a line each")
    parser.add_argument("--figure", type=Path, metavar="OUT.png", help="write a figure, as PNG and as SVG beside it")
    adding = parser.add_argument_group("adding the line of an evaluation")
    adding.add_argument("--add", type=Path, metavar="RUN", help="the folder given to lmms_eval as --output_path")
    adding.add_argument("--name", metavar="MODEL", help="the model's name for readers")
    adding.add_argument("--training", help="what was done to it: SFT, DPO, PPO, … (default: none)")
    adding.add_argument(
        "--trained-on",
        choices=("nothing of it", "training split", "unknown"),
        help="of the benchmark; needed with --training",
    )
    adding.add_argument(
        "--run", metavar="NAME", help="tells this repetition from others of the same model and training"
    )
    adding.add_argument("--origin", choices=ORIGINS, help="default: submitted")
    adding.add_argument("--source", help="the command that made it, or the address where it can be read")
    adding.add_argument("--note", help="what a reader must know")
    adding.add_argument("--na", choices=("drop", "wrong"), default="drop", help="default: %(default)s")
    adding.add_argument("--replace", action="store_true", help="replace the line of the same model, run and setting")
    return parser


def _run(options: argparse.Namespace, command: Sequence[str]) -> None:
    from harness_ext.report.blocks import console
    from harness_ext.report.figures import figure_files, write_figure
    from harness_ext.report.leaderboard import tables

    if options.schema:
        say(json.dumps(Entry.model_json_schema(), indent=1))
        return
    if options.file is None:
        raise UserError("expected the leaderboard's FILE.jsonl; this repository's is results/leaderboard.jsonl")
    added = options.file if options.add else None
    require_writable([*figure_files([options.figure]), options.markdown, options.csv, added])
    if options.add:
        _add(options)
    elif given := [name for name in _ADDING if getattr(options, name) is not None]:
        raise UserError(f"--{given[0].replace('_', '-')}: says something about a line to add; add --add RUN")
    entries = read_leaderboard(options.file)
    if options.check:
        say(f"{options.file}: {len(entries)} lines, nothing wrong")
        return
    settings = tables.settings(entries, options.sort)
    tables.print_tables(settings, console(_PIPED_WIDTH, _LEAST_WIDTH))
    if options.markdown:
        write_text(options.markdown, tables.markdown(settings, command))
    if options.csv:
        write_text(options.csv, tables.as_csv(entries))
    if options.figure:
        write_figure(lambda: tables.draw(settings), options.figure)


def _add(options: argparse.Namespace) -> None:
    from harness_ext.report.leaderboard.measured import entry_of
    from harness_ext.runs.load import load_runs

    if missing := [name for name in ("name", "source") if getattr(options, name) is None]:
        raise UserError(f"--add: needs --{' and --'.join(missing)} too")
    if (options.training is None) != (options.trained_on is None):
        raise UserError("--training and --trained-on: expected both or neither")
    runs = load_runs(options.add)
    if len(runs) != 1:
        found = "; ".join(f"{run.model} on {run.source}" for run in runs)
        raise UserError(f"{options.add}: expected one model and source, found {found}; name a folder of one")
    described = {
        "model": options.name,
        "training": options.training or "none",
        "trained_on": options.trained_on or "nothing of it",
        "origin": options.origin or "submitted",
        **{name: getattr(options, name) for name in ("run", "source", "note", "na")},
    }
    entry = entry_of(runs[0], described)
    with alone_with(options.file):
        entries = read_leaderboard(options.file) if options.file.exists() else []
        same = next((at for at, other in enumerate(entries) if other.identity == entry.identity), len(entries))
        if entries[same:] and entries[same] != entry and not options.replace:
            raise UserError(
                f"{options.file}: another line of {entry.model}, {entry.training}, {entry.run or 'no run named'} in this "
                "setting is there, with other contents; name the run by --run, or replace the line by --replace"
            )
        entries[same : same + 1] = [entry]
        write_leaderboard(entries, options.file)
