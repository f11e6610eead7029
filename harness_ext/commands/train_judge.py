"""``unsafeconcepts train-judge DATA… --base BASE -o FOLDER``: trains a judge of labelled responses.

DATA are files of JSON lines, {"response": "…", "verdict": "safe"} or {"response": "…", "choice": "B"}, or the output folders
of lmms_eval (--log_samples), whose responses are labelled as they were judged. The folder serves as the judge `classifier`
and, of alignment answers, as a reward of `align`.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from harness_ext.common.errors import UserError, exit_status
from harness_ext.common.options import problem
from harness_ext.common.output import CommandParser, say
from harness_ext.judges.classifier import LABELS
from harness_ext.report.blocks import console
from harness_ext.runs.labelled import read_labelled

_PROG: Final = "unsafeconcepts train-judge"
_PIPED_WIDTH: Final = 100


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 2, with a message, when what was asked for cannot be."""
    parser = CommandParser(prog=_PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", metavar="DATA", help="labelled responses, or runs")
    parser.add_argument(
        "--base",
        required=True,
        help="what is trained: tiny (a small transformer, from nothing), roberta-base, a folder or a hub repository",
    )
    parser.add_argument("--base-revision", metavar="COMMIT", help="of a hub repository (default: main, looked up)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="where it is written")
    parser.add_argument("--probe", choices=list(LABELS), help="which rows, where there are of both")
    parser.add_argument(
        "--without", action="append", default=[], metavar="LABEL", help="a label that no row has; may be repeated"
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="at most (default: 5, tiny 30)")
    parser.add_argument("--learning-rate", type=float, metavar="X", help="(default: 2e-5, tiny 1e-3)")
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="(default: %(default)s)")
    parser.add_argument(
        "--patience", type=int, default=3, metavar="N", help="epochs without a better one (default: %(default)s)"
    )
    parser.add_argument(
        "--held-out", type=float, default=0.2, metavar="SHARE", help="of the responses (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(default: %(default)s)")
    given = parser.parse_args(argv)
    return exit_status(_PROG, lambda: _train(given))


def _train(given: argparse.Namespace) -> None:
    labelled = read_labelled(given.data, given.probe)

    # Only after the rows are read, so that invalid ones are refused before anything heavy is imported.
    from harness_ext.judges.classifier.measures import show
    from harness_ext.judges.classifier.train import TINY, USUAL, USUAL_OF_TINY, Settings, find_start, train_judge

    given.without = tuple(dict.fromkeys(given.without))
    named = {name: value for name in Settings.model_fields if (value := getattr(given, name)) is not None}
    try:
        settings = Settings(**{**(USUAL_OF_TINY if given.base == TINY else USUAL), **named})
    except ValidationError as error:
        raise UserError(f"--{problem(error).replace('_', '-', 1)}") from error
    for origin in labelled.origin:
        say(origin)
    begun, used = time.perf_counter(), time.process_time()
    measures = train_judge(labelled, find_start(given.base, given.base_revision), settings, given.output)
    show(measures, console(_PIPED_WIDTH))
    say(f"{time.perf_counter() - begun:.0f} s, {time.process_time() - used:.0f} s of them on the CPU")
    say(f"As a judge: classifier, with {labelled.kind}={given.output}")


if __name__ == "__main__":
    sys.exit(main())
