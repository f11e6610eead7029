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
from typing import TYPE_CHECKING, Final

from harness_ext.common.errors import exit_status
from harness_ext.judges.classifier import LABELS
from harness_ext.judges.classifier.examples import read_labelled
from harness_ext.report.terminal import console

if TYPE_CHECKING:
    from harness_ext.judges.classifier.measures import Measures

_PROG: Final = "unsafeconcepts train-judge"
_PIPED_WIDTH: Final = 120


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 2, with a message, when what was asked for cannot be."""
    given = _parser().parse_args(argv)
    return exit_status(_PROG, lambda: _train(given))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
    return parser


def _train(given: argparse.Namespace) -> None:
    labelled = read_labelled(given.data, given.probe)

    # Only after the rows are read, so that invalid ones are refused before anything heavy is imported.
    from harness_ext.judges.classifier.start import find_start
    from harness_ext.judges.classifier.train import Settings, train_judge

    settings = Settings.of(
        given.base,
        given.epochs,
        given.learning_rate,
        batch_size=given.batch_size,
        patience=given.patience,
        held_out=given.held_out,
        seed=given.seed,
        without=tuple(dict.fromkeys(given.without)),
    )
    for origin in labelled.origin:
        print(origin)
    begun, used = time.perf_counter(), time.process_time()
    measures = train_judge(labelled, find_start(given.base, given.base_revision), settings, given.output)
    _print(measures)
    print(f"{time.perf_counter() - begun:.0f} s, {time.process_time() - used:.0f} s of them on the CPU")
    print(f"As a judge: classifier, with {labelled.kind}={given.output}")


def _print(measures: "Measures") -> None:
    from rich.table import Table

    low, high = measures.interval
    table = Table("labelled \\ read", *measures.confusion)
    for label, found in measures.confusion.items():
        table.add_row(label, *map(str, found.values()))
    shown = console(_PIPED_WIDTH)
    shown.print(
        f"held out: {measures.right} of {measures.responses} read right, {measures.accuracy:.3f} [{low:.3f}, {high:.3f}]",
        highlight=False,
        markup=False,
    )
    shown.print(table)
    value, least, most = measures.calibration
    interval = "" if least is None or most is None else f" [{least:.3f}, {most:.3f}]"
    shown.print(
        f"by rows {measures.rows_accuracy:.3f}; the commonest label alone {measures.commonest:.3f}; "
        f"expected calibration error {value:.3f}{interval}",
        highlight=False,
        markup=False,
    )


if __name__ == "__main__":
    sys.exit(main())
