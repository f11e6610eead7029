"""How far judges agree on the same answers, kind by kind, and how right each is where people have labelled answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from math import isnan
from typing import Any, Final

from rich.console import Console

from harness_ext.benchmark.probes import OF_RECORD
from harness_ext.benchmark.questions import LETTERS, NUM_QUESTIONS
from harness_ext.common.files import without_nan
from harness_ext.judges.base import PerceptionAnswer
from harness_ext.metrics.agreement import JudgeAgreement, Labelled, Share, against_labels, cohens_kappa, judge_agreement
from harness_ext.metrics.intervals import SEED
from harness_ext.metrics.units import Estimate
from harness_ext.records import FAILED, NA, Judgement
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
from harness_ext.runs.readings import Key, Labels, Readings

ALIGNMENT, CONTEXT, PERCEPTION = "alignment", "alignment in a context", "perception"
# The kinds that are not a part of another one.
WHOLE_KINDS: Final = (ALIGNMENT, CONTEXT, PERCEPTION)
KINDS: Final = (ALIGNMENT, *(f"{ALIGNMENT}, question {at}" for at in range(NUM_QUESTIONS)), CONTEXT, PERCEPTION)
_HUMAN: Final = "human"


@dataclass(frozen=True)
class Compared:
    """Two judges on one kind of answers."""

    kind: str
    first: str
    second: str
    agreement: JudgeAgreement


@dataclass(frozen=True)
class Accuracy:
    """One judge against people's labels, on one kind of answers."""

    kind: str
    judge: str
    labelled: Labelled
    kappa: Estimate


@dataclass(frozen=True)
class Agreement:
    """What a comparison of judges says.

    Attributes:
        source: ``"unsafeconcepts"`` or ``"glyphworld"``.
        judges: The judges' names.
        n_answers: How many answers they read.
        compared: Every two judges on every kind of answers that is there.
        accuracies: Every judge on every kind of labelled answers; none without labels.
        disagreements: The answers on which not all judges say the same, with all that they say, ready for JSON lines.
        notes: What was left out.
    """

    source: str
    judges: tuple[str, ...]
    n_answers: int
    compared: tuple[Compared, ...]
    accuracies: tuple[Accuracy, ...]
    disagreements: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values, without the disagreements; nan becomes ``None``."""
        values = asdict(replace(self, disagreements=(), compared=()))
        values["disagreements"] = len(self.disagreements)
        values["compared"] = [
            {"kind": each.kind, "first": each.first, "second": each.second, **_agreement_json(each.agreement)}
            for each in self.compared
        ]
        plain: dict[str, Any] = without_nan(values)
        return plain


def agree(readings: Readings, labels: Labels | None = None, seed: int = SEED) -> Agreement:
    """Hold every two readers against each other, and each against the labels."""
    by_kind: dict[str, list[Key]] = {}
    for key, record in readings.readers[0].records.items():
        for kind in kinds_of(record):
            by_kind.setdefault(kind, []).append(key)
    found = [kind for kind in KINDS if kind in by_kind]
    compared = [
        Compared(
            kind,
            one.name,
            other.name,
            judge_agreement([(one.records[key], other.records[key]) for key in by_kind[kind]], seed),
        )
        for kind in found
        for one, other in combinations(readings.readers, 2)
    ]
    notes = list(readings.notes)
    if labels and labels.unmatched:
        notes.append(f"{labels.unmatched} labels are of answers that are not here.")
    return Agreement(
        readings.source,
        tuple(reader.name for reader in readings.readers),
        len(readings.answers),
        tuple(compared),
        tuple(_accuracies(readings, by_kind, labels, seed)) if labels else (),
        tuple(_disagreements(readings)),
        tuple(notes),
    )


def kinds_of(record: Judgement) -> tuple[str, ...]:
    """The kinds of ``KINDS`` that an answer is of: the whole one first."""
    if record.probe == "perception":
        return (PERCEPTION,)
    if OF_RECORD[record.probe].context:
        return (CONTEXT,)
    return ALIGNMENT, f"{ALIGNMENT}, question {record.question}"


def _accuracies(readings: Readings, by_kind: Mapping[str, list[Key]], labels: Labels, seed: int) -> list[Accuracy]:
    found = []
    for kind in KINDS:
        keys = [key for key in by_kind.get(kind, ()) if key in labels.of]
        for reader in readings.readers if keys else ():
            records = [(labels.of[key], reader.records[key]) for key in keys]
            pairs = [
                (replace(record, verdict=label, judge=_HUMAN), record)
                for label, record in records
                if record.verdict != FAILED
            ]
            labelled = against_labels([(label, record.verdict) for label, record in records])
            found.append(Accuracy(kind, reader.name, labelled, cohens_kappa(pairs, seed)))
    return found


def _disagreements(readings: Readings) -> list[dict[str, Any]]:
    found = []
    for key, answer in readings.answers.items():
        records = {reader.name: reader.records[key] for reader in readings.readers}
        said = {name: record.verdict for name, record in records.items()}
        if len(set(said.values())) == 1:
            continue
        record = next(iter(records.values()))
        about = {"task": key[0], "row": key[1], "question": key[2], "concept": record.concept, "label": record.label}
        options = {"options": dict(answer.options)} if isinstance(answer, PerceptionAnswer) else {}
        found.append(about | options | {"prompt": answer.prompt, "response": answer.response, "readings": said})
    return found


def _agreement_json(agreement: JudgeAgreement) -> dict[str, Any]:
    table: dict[str, dict[str, int]] = {}
    for (one, other), count in sorted(agreement.confusion.items()):
        table.setdefault(one, {})[other] = count
    return {
        "equal": asdict(agreement.equal),
        "kappa": asdict(agreement.kappa),
        "failed": agreement.failed,
        "confusion": table,
    }


# --- tables -----------------------------------------------------------------------------------------------------------

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
        found += [_accuracies_block(agreement), _by_label(agreement)]
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


def _accuracies_block(agreement: Agreement) -> Block:
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
