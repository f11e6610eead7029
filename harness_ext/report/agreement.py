"""A comparison of judges as tables: for the terminal, as Markdown with the same cells, and as CSV with all numbers."""

from collections.abc import Iterator, Mapping, Sequence
from math import isnan
from typing import Any, Final

from rich.console import Console

from harness_ext.benchmark.questions import LETTERS
from harness_ext.metrics.agreement import Share
<<<<<<<< HEAD:harness_ext/rejudge/agreement_table.py
from harness_ext.metrics.units import Estimate
from harness_ext.records import FAILED, NA
from harness_ext.report.agreement import WHOLE_KINDS, Agreement, Compared
from harness_ext.report.cells import Block, estimated, number
from harness_ext.report.table import SOURCE_TITLES, block_markdown
from harness_ext.report.terminal import print_block
========
from harness_ext.metrics.records import FAILED, NA
from harness_ext.rejudge.agreement import WHOLE_KINDS, Agreement, Compared
from harness_ext.report.blocks import (
    Block,
    counted,
    csv_document,
    defined,
    estimated,
    markdown_document,
    markdown_list,
    number,
    print_blocks,
    print_lines,
)
from harness_ext.report.tables import SOURCE_TITLES
>
_SHOWN: Final = 10
_ORDER: Final = ("safe", "unsafe", *LETTERS, NA, FAILED)


def print_tables(agreement: Agreement, console: Console) -> None:
    """Print for the terminal, with the first disagreements to read."""
    print_blocks(_title(agreement), _blocks(agreement), console)
    if count := len(agreement.disagreements):
        console.print(f"{count} disagreements, the first {min(count, _SHOWN)}:", highlight=False)
        print_lines(map(_disagreement, agreement.disagreements[:_SHOWN]), console)
        console.print()
    print_lines(_notes(agreement), console)


def markdown(agreement: Agreement, argv: Sequence[str]) -> str:
    """The same tables as Markdown, with the command that made them."""
    return markdown_document(argv, [f"# {_title(agreement)}", *_blocks(agreement), markdown_list(_notes(agreement))])


def as_csv(agreement: Agreement) -> str:
    """Every number, unrounded, one a line; an empty cell for a number that does not exist."""
    return csv_document(
        ("kind", "judge", "against", "measure", "verdict", "value", "low", "high", "answers"),
        (["" if isinstance(cell, float) and isnan(cell) else cell for cell in line] for line in _lines(agreement)),
    )


def _title(agreement: Agreement) -> str:
    judges = ", ".join(agreement.judges)
    return f"{agreement.n_answers} answers as read by {judges}: {SOURCE_TITLES[agreement.source]}"


def _disagreement(each: Mapping[str, Any]) -> str:
    said = ", ".join(f"{name}: {verdict}" for name, verdict in each["readings"].items())
    return f"  {each['task']}, row {each['row']}, question {each['question']}: {each['response']!r} - {said}"


def _blocks(agreement: Agreement) -> list[Block]:
    """Agreement, confusions, and accuracy where answers are labelled."""
    found = []
    if agreement.compared:
        found.append(_agreements(agreement))
        found += [_confusion(each) for each in agreement.compared if each.kind in WHOLE_KINDS]
    if agreement.accuracies:
        found += [_accuracies(agreement), _by_label(agreement)]
    return found


def _notes(agreement: Agreement) -> list[str]:
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
        equal, kappa = each.agreement.equal, each.agreement.kappa
        judges, counts = (f"{each.first},", each.second), counted(equal.n_answers, each.agreement.failed)
        rows.append(((each.kind,), judges, estimated(equal), defined(kappa), *counts))
    return Block("Agreement of judges", ("kind of answer", "judges", "equal", "kappa", "read", "failed"), tuple(rows))


def _confusion(each: Compared) -> Block:
    counts = each.agreement.confusion
    seen = {verdict for pair in counts for verdict in pair}
    said = [verdict for verdict in _ORDER if verdict in seen]
    rows = tuple(((one,), *counted(*(counts.get((one, other), 0) for other in said))) for one in said)
    return Block(f"{each.kind.capitalize()}: {each.first} (rows) and {each.second} (columns)", ("", *said), rows)


def _accuracies(agreement: Agreement) -> Block:
    rows = []
    for each in agreement.accuracies:
        found = each.labelled
        rates = (number(found.na.value),), (number(found.failed.value),)
        cells = estimated(found.accuracy), defined(each.kappa), *rates, *counted(found.failed.of)
        rows.append(((each.kind,), (each.judge,), *cells))
    header = ("kind of answer", "judge", "accuracy", "kappa", "na", "failed", "labelled")
    return Block("Against people's labels", header, tuple(rows))


def _by_label(agreement: Agreement) -> Block:
    rows = []
    for each in agreement.accuracies:
        precision, recall = each.labelled.precision, each.labelled.recall
        for label in _ORDER if each.kind in WHOLE_KINDS else ():
            if label in recall:
                cells = estimated(precision[label]), estimated(recall[label]), *counted(recall[label].of)
                rows.append(((each.kind,), (each.judge,), (label,), *cells))
    header = ("kind of answer", "judge", "label", "precision", "recall", "labelled")
    return Block("Against people's labels, by label", header, tuple(rows))


def _lines(agreement: Agreement) -> Iterator[list[Any]]:
    for each in agreement.compared:
        who = [each.kind, each.first, each.second]
        for name, found in (("equal", each.agreement.equal), ("kappa", each.agreement.kappa)):
            yield [*who, name, None, found.value, found.low, found.high, found.n_answers]
        for (one, other), count in sorted(each.agreement.confusion.items()):
            yield [*who, "confusion", f"{one} / {other}", count, None, None, None]
    for accuracy in agreement.accuracies:
        who, labelled = [accuracy.kind, accuracy.judge, "human"], accuracy.labelled
        kappa = accuracy.kappa
        yield [*who, "kappa", None, kappa.value, kappa.low, kappa.high, kappa.n_answers]
        shares: list[tuple[str, str | None, Share]] = [
            ("accuracy", None, labelled.accuracy),
            ("na", None, labelled.na),
            ("failed", None, labelled.failed),
            *(("precision", label, share) for label, share in labelled.precision.items()),
            *(("recall", label, share) for label, share in labelled.recall.items()),
        ]
        for name, label, share in shares:
            yield [*who, name, label, share.value, share.low, share.high, share.of]
>>>>>>> 04f3929 (One Block and every form of it in report/blocks.py: table, compare, agreement, leaderboard, retention and the page write through it)
