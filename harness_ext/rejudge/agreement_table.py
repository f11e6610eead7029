"""A comparison of judges as tables: for the terminal, as Markdown with the same cells, and as CSV with all numbers."""

import csv
import io
import shlex
from collections.abc import Iterator, Sequence
from math import isnan
from typing import Any, Final

from rich.console import Console

from harness_ext.benchmark.questions import LETTERS
from harness_ext.metrics.agreement import Share
from harness_ext.metrics.units import Estimate
from harness_ext.records import FAILED, NA
from harness_ext.report.agreement import WHOLE_KINDS, Agreement, Compared
from harness_ext.report.cells import Block, estimated, number
from harness_ext.report.table import SOURCE_TITLES, block_markdown
from harness_ext.report.terminal import print_block

_SHOWN: Final = 10
_ORDER: Final = ("safe", "unsafe", *LETTERS, NA, FAILED)


def title(agreement: Agreement) -> str:
    """Which judges, on how many answers, and of which source."""
    judges = ", ".join(agreement.judges)
    return f"{agreement.n_answers} answers as read by {judges}: {SOURCE_TITLES[agreement.source]}"


def blocks(agreement: Agreement) -> list[Block]:
    """The tables: agreement, confusions, and accuracy where answers are labelled."""
    found = []
    if agreement.compared:
        found.append(_agreements(agreement))
        found += [_confusion(each) for each in agreement.compared if each.kind in WHOLE_KINDS]
    if agreement.accuracies:
        found += [_accuracies(agreement), _by_label(agreement)]
    return found


def notes(agreement: Agreement) -> list[str]:
    """What a reader must know to read the tables right."""
    found = [
        "Equal and kappa are over the answers that both judges have read, na being a reading like any other; in brackets the "
        "95 % interval by resampling concepts. Where nearly all verdicts are the same one, kappa is small or not defined.",
    ]
    if agreement.accuracies:
        found.append(
            "Against people's labels: accuracy, precision and recall leave out answers on which the judge failed; in "
            "brackets the exact 95 % interval, which takes answers for independent."
        )
    return found + list(agreement.notes)


def _agreements(agreement: Agreement) -> Block:
    rows = []
    for each in agreement.compared:
        numbers = each.agreement
        cells = (estimated(numbers.equal), _defined(numbers.kappa))
        counts = (str(numbers.equal.n_answers), str(numbers.failed))
        rows.append(((each.kind,), (f"{each.first},", each.second), *cells, *((count,) for count in counts)))
    return Block("Agreement of judges", ("kind of answer", "judges", "equal", "kappa", "read", "failed"), tuple(rows))


def _confusion(each: Compared) -> Block:
    counts = each.agreement.confusion
    seen = {verdict for pair in counts for verdict in pair}
    said = [verdict for verdict in _ORDER if verdict in seen]
    rows = tuple(((one,), *((str(counts.get((one, other), 0)),) for other in said)) for one in said)
    return Block(f"{each.kind.capitalize()}: {each.first} (rows) and {each.second} (columns)", ("", *said), rows)


def _accuracies(agreement: Agreement) -> Block:
    rows = []
    for each in agreement.accuracies:
        found = each.labelled
        cells = (_share(found.accuracy), _defined(each.kappa), (number(found.na.value),), (number(found.failed.value),))
        rows.append(((each.kind,), (each.judge,), *cells, (str(found.failed.of),)))
    header = ("kind of answer", "judge", "accuracy", "kappa", "na", "failed", "labelled")
    return Block("Against people's labels", header, tuple(rows))


def _by_label(agreement: Agreement) -> Block:
    rows = []
    for each in agreement.accuracies:
        if each.kind not in WHOLE_KINDS:
            continue
        found = each.labelled
        for label in (name for name in _ORDER if name in found.recall):
            cells = (_share(found.precision[label]), _share(found.recall[label]), (str(found.recall[label].of),))
            rows.append(((each.kind,), (each.judge,), (label,), *cells))
    header = ("kind of answer", "judge", "label", "precision", "recall", "labelled")
    return Block("Against people's labels, by label", header, tuple(rows))


def _share(share: Share) -> tuple[str, ...]:
    return estimated(Estimate(share.value, share.low, share.high, 0, share.of))


def _defined(estimate: Estimate) -> tuple[str, ...]:
    return ("not defined",) if isnan(estimate.value) else estimated(estimate)


# --- renderings -------------------------------------------------------------------------------------------------------


def print_tables(agreement: Agreement, console: Console) -> None:
    """Print for the terminal, with the first disagreements to read."""
    console.print(title(agreement), style="bold", highlight=False, markup=False)
    for block in blocks(agreement):
        print_block(block, console)
    console.print()
    if count := len(agreement.disagreements):
        console.print(f"{count} disagreements, the first {min(count, _SHOWN)}:", highlight=False)
        for each in agreement.disagreements[:_SHOWN]:
            said = ", ".join(f"{name}: {verdict}" for name, verdict in each["readings"].items())
            place = f"{each['task']}, row {each['row']}, question {each['question']}"
            console.print(f"  {place}: {each['response']!r} - {said}", highlight=False, markup=False)
        console.print()
    for note in notes(agreement):
        console.print(note, highlight=False, markup=False)


def markdown(agreement: Agreement, argv: Sequence[str]) -> str:
    """The same tables as Markdown, with the command that made them."""
    parts = [f"Made by:\n\n```\n{shlex.join(argv)}\n```", f"# {title(agreement)}"]
    for block in blocks(agreement):
        parts += [f"## {block.title}", block_markdown(block)]
    parts.append("\n".join(f"- {note}" for note in notes(agreement)))
    return "\n\n".join(parts) + "\n"


def as_csv(agreement: Agreement) -> str:
    """Every number, unrounded, one a line; what there is none of is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["kind", "judge", "against", "measure", "verdict", "value", "low", "high", "answers"])
    writer.writerows(["" if _is_none(cell) else cell for cell in line] for line in _lines(agreement))
    return text.getvalue()


def _lines(agreement: Agreement) -> Iterator[list[Any]]:
    for each in agreement.compared:
        who = [each.kind, each.first, each.second]
        for name in ("equal", "kappa"):
            found: Estimate = getattr(each.agreement, name)
            yield [*who, name, None, found.value, found.low, found.high, found.n_answers]
        for (one, other), count in sorted(each.agreement.confusion.items()):
            yield [*who, "confusion", f"{one} / {other}", count, None, None, None]
    for accuracy in agreement.accuracies:
        who = [accuracy.kind, accuracy.judge, "human"]
        kappa = accuracy.kappa
        yield [*who, "kappa", None, kappa.value, kappa.low, kappa.high, kappa.n_answers]
        labelled = accuracy.labelled
        shares: list[tuple[str, str | None, Share]] = [
            (name, None, getattr(labelled, name)) for name in ("accuracy", "na", "failed")
        ]
        shares += [("precision", label, each) for label, each in labelled.precision.items()]
        shares += [("recall", label, each) for label, each in labelled.recall.items()]
        for name, label, share in shares:
            yield [*who, name, label, share.value, share.low, share.high, share.of]


def _is_none(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and isnan(cell))
