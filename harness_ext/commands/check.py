"""``unsafeconcepts check DIR``: all that is wrong with a benchmark of your own, by file and line, and what it can show.

Opens every image once. Exits with 2 where anything is wrong. Otherwise it prints how many concepts and images there are,
the tasks, and which differences such a benchmark could detect.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness_ext.common.errors import exit_status
from harness_ext.common.output import CommandParser, say

if TYPE_CHECKING:
    from harness_ext.own import OwnBenchmark
    from harness_ext.own.power import Measure
    from harness_ext.report.blocks import Block

_PROG: Final = "unsafeconcepts check"
_PIPED_WIDTH: Final = 100


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 2, with a message, where anything is wrong."""
    parser = CommandParser(prog=_PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder with benchmark.yaml")
    options = parser.parse_args(argv)
    return exit_status(_PROG, lambda: _run(options.folder))


def _run(folder: Path) -> None:
    from harness_ext.hooks import names_of_lmms_eval
    from harness_ext.own.examined import examine
    from harness_ext.report.blocks import console, print_blocks

    benchmark, notes = examine(folder, names_of_lmms_eval())
    printed_on = console(_PIPED_WIDTH)
    print_blocks(f"{benchmark.title} ({benchmark.name}): nothing is wrong", _blocks(benchmark), printed_on)
    # Not through the console, which would break a line that is to be copied.
    for line in (*_tasks(benchmark, folder), *(f"Note: {note}." for note in notes)):
        say(line)


def _blocks(benchmark: "OwnBenchmark") -> Iterator["Block"]:
    from harness_ext.metrics.intervals import FEWEST
    from harness_ext.own.power import ASSUMED, measures
    from harness_ext.report.blocks import make_block

    label_of = {each.name: each.label for each in benchmark.concepts}
    shown, sides = benchmark.listing.concepts, benchmark.sides
    rows = []
    for title, chosen in (("all", range(len(shown))), ("to train on", sides.train), ("TEST", sides.test)):
        for label in ("unsafe", "safe"):
            images = Counter(shown[row] for row in chosen if label_of[shown[row]] == label)
            rows.append((f"{title}, {label}", len(images), sum(images.values()), *_least_and_most(images)))
    header = ("images", "concepts", "images", "least a concept", "most")
    yield make_block("What there is", header, rows, [f"Split: {benchmark.split}."])
    found = measures(benchmark)
    few = [each.title for each in found if each.concepts < FEWEST]
    notes = [
        "95 % interval: half of its width, over concepts, as in `table`. could show: the smallest margin against which a "
        "model that did not change would be retained in 80 % of evaluations, as in `compare`.",
        ASSUMED,
    ]
    if few:
        notes.append(f"Warning: over fewer than {FEWEST} concepts there is no interval: {'; '.join(few)}.")
    header = ("measure", "concepts", "answers", "95 % interval", "could show")
    yield make_block("What it can show", header, map(_row, found), notes)


def _least_and_most(images: Counter[str]) -> tuple[int, int]:
    return min(images.values(), default=0), max(images.values(), default=0)


def _row(measure: "Measure") -> tuple[str | int, ...]:
    wide = "none" if measure.half_width is None else f"± {measure.half_width:.3f}"
    change = "none" if measure.could_show is None else f"{min(measure.could_show, 1.0):.3f}"
    return measure.title, measure.concepts, measure.answers, wide, change


def _tasks(benchmark: "OwnBenchmark", folder: Path) -> Iterator[str]:
    from harness_ext.benchmark.probes import SUFFIXES, groups_of, tasks_of

    usual = tuple(suffix for suffix in SUFFIXES.values() if suffix)
    yield f"Tasks: {', '.join(name for name in tasks_of(benchmark) if not name.endswith(usual))}"
    yield f"Groups: {', '.join(name for name in groups_of(benchmark) if not name.endswith(usual))}"
    yield f"Many of them also with {' or '.join(usual)}."
    if "options" not in benchmark.offers:
        yield "No perception: it needs three concepts outside each category."
    if "contexts" not in benchmark.offers:
        yield "No questions in a context: benchmark.yaml has no contexts."
    if not benchmark.has_safe_concepts:
        yield "No safe concepts: a model that calls everything unsafe would look perfect. Add some with label: safe."
    asked = f"--benchmark {folder} --model MODEL --tasks {benchmark.name} --log_samples --output_path runs"
    yield f"Ask a model: lmms_eval {asked}"
