"""``unsafeconcepts import DIR -o FOLDER``: makes result folders of answers that somebody else's run gave and saved.

DIR holds files of the form in which the paper's authors published their answers (``outputs`` of
github.com/TrustAIRLab/SaferVLM at 4246835), one folder a model. The rule judge reads the answers; to have another judge
read them, use ``judge FOLDER --judge NAME``. Every other command reads the new folders like any run, and says that the
answers are another run's.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from harness_ext.common.errors import UserError, exit_status, one_line
from harness_ext.common.output import CommandParser, say

_PROG: Final = "unsafeconcepts import"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 2, with a message, when what was asked for cannot be."""
    options = _parser().parse_args(argv)
    return exit_status(_PROG, lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog=_PROG, description=__doc__.split(": ", 1)[1])
    parser.add_argument(
        "answers", type=Path, metavar="DIR", help="a folder of *_result.json files, or a folder of such folders"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="the new result folder")
    parser.add_argument("--name", metavar="MODEL", help="the model's name in results (default: its folder's)")
    parser.add_argument(
        "--gen_kwargs",
        metavar="k=v,k=v",
        default="",
        help="how the answers were decoded, as in do_sample=False,max_new_tokens=512 (default: not said)",
    )
    parser.add_argument("--partial", action="store_true", help="accept files that lack answers; results say how many")
    return parser


def _run(options: argparse.Namespace) -> None:
    from harness_ext.runs.imported import import_answers

    generation = _generation(options.gen_kwargs)
    for run in import_answers(options.answers, options.output, options.name, generation, options.partial):
        for note in run.notes:
            say(note, file=sys.stderr)
        counts = ", ".join(f"{task} {count}" for task, count in run.answers.items())
        say(f"{run.folder}: {counts}")


def _generation(text: str) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    for pair in text.split(",") if text else ():
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"--gen_kwargs: expected k=v, found {pair!r}")
        try:
            found[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(f"--gen_kwargs {pair}: {one_line(error)}") from error
    return found or None
