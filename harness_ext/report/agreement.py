"""How far judges agree on the same answers, kind by kind, and how right each is where people have labelled answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from math import isnan
from typing import Any, Final

from rich.console import Console

from harness_ext.benchmark.probes import OF_RECORD
from harness_ext.benchmark.questions import LETTERS
from harness_ext.common.files import without_nan
from harness_ext.judges.base import PerceptionAnswer
from harness_ext.metrics.agreement import JudgeAgreement, Labelled, Share, against_labels, cohens_kappa, judge_agreement
from harness_ext.metrics.intervals import SEED
from harness_ext.metrics.units import Estimate
from harness_ext.records import FAILED, NA, Judgement
from harness_ext.registry import benchmark_named
from harness_ext.report.blocks import (
    Block,
    Value,
    csv_document,
    defined,
    make_block,
    markdown_document,
    markdown_list,
    markdown_text,
    print_blocks,
    print_lines,
    with_rows,
)
from harness_ext.runs.readings import Key, Labels, Reader, Readings

_ALIGNMENT, _CONTEXT, _PERCEPTION = "alignment", "alignment in a context", "perception"
# The kinds that are not a part of another one.
_WHOLE_KINDS: Final = (_ALIGNMENT, _CONTEXT, _PERCEPTION)
_HUMAN: Final = "human"


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
        compared: Every two judges on every kind of answers that is there, by kind, first and second judge.
        accuracies: Every judge on every kind of labelled answers; none without labels.
        disagreements: The answers on which not all judges say the same, with all that they say, ready for JSON lines.
        notes: What was left out.
    """

    source: str
    judges: tuple[str, ...]
    n_answers: int
    compared: Mapping[tuple[str, str, str], JudgeAgreement]
    accuracies: tuple[Accuracy, ...]
    disagreements: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values, with the number of disagreements in their place; nan becomes ``None``."""
        values = asdict(replace(self, compared={}, disagreements=()))
        values["disagreements"] = len(self.disagreements)
        values["compared"] = []
        for (kind, first, second), found in self.compared.items():
            # A Counter with such keys, which asdict does not copy right.
            confusion: dict[str, dict[str, int]] = {}
            for (one, other), count in sorted(found.confusion.items()):
                confusion.setdefault(one, {})[other] = count
            numbers = {"equal": asdict(found.equal), "kappa": asdict(found.kappa), "failed": found.failed}
            judges = {"kind": kind, "first": first, "second": second}
            values["compared"].append({**judges, **numbers, "confusion": confusion})
        plain: dict[str, Any] = without_nan(values)
        return plain


def agree(readings: Readings, labels: Labels | None = None, seed: int = SEED) -> Agreement:
    """Hold every two readers against each other, and each against the labels."""
    questions = range(len(benchmark_named(readings.source).questions))
    kinds = (_ALIGNMENT, *(f"{_ALIGNMENT}, question {at}" for at in questions), _CONTEXT, _PERCEPTION)
    by_kind: dict[str, list[Key]] = {kind: [] for kind in kinds}
    for key, record in readings.readers[0].records.items():
        for kind in _kinds_of(record):
            by_kind[kind].append(key)
    compared: dict[tuple[str, str, str], JudgeAgreement] = {}
    accuracies, notes = [], list(readings.notes)
    for kind, keys in by_kind.items():
        for one, other in combinations(readings.readers, 2) if keys else ():
            pairs = [(one.records[key], other.records[key]) for key in keys]
            compared[kind, one.name, other.name] = judge_agreement(pairs, seed)
        label_of = {key: labels.of[key] for key in keys if key in labels.of} if labels else {}
        accuracies += [_accuracy(kind, reader, label_of, seed) for reader in readings.readers if label_of]
    if labels and labels.unmatched:
        notes.append(f"{labels.unmatched} labels are of answers that are not here.")
    return Agreement(
        readings.source,
        tuple(reader.name for reader in readings.readers),
        len(readings.answers),
        compared,
        tuple(accuracies),
        tuple(_disagreements(readings)),
        tuple(notes),
    )


def _kinds_of(record: Judgement) -> tuple[str, ...]:
    """The kinds that an answer is of."""
    if record.probe == "perception":
        return (_PERCEPTION,)
    if OF_RECORD[record.probe].context:
        return (_CONTEXT,)
    return _ALIGNMENT, f"{_ALIGNMENT}, question {record.question}"


def _accuracy(kind: str, reader: Reader, label_of: Mapping[Key, str], seed: int) -> Accuracy:
    records = [(label, reader.records[key]) for key, label in label_of.items()]
    read = [(label, record) for label, record in records if record.verdict != FAILED]
    kappa = cohens_kappa([(replace(record, verdict=label, judge=_HUMAN), record) for label, record in read], seed)
    labelled = against_labels([(label, record.verdict) for label, record in records])
    return Accuracy(kind, reader.name, labelled, kappa)


def _disagreements(readings: Readings) -> Iterator[dict[str, Any]]:
    for key, answer in readings.answers.items():
        said = {reader.name: reader.records[key].verdict for reader in readings.readers}
        if len(set(said.values())) == 1:
            continue
        record = readings.readers[0].records[key]
        about = {"task": key[0], "row": key[1], "question": key[2], "concept": record.concept, "label": record.label}
        options = {"options": dict(answer.options)} if isinstance(answer, PerceptionAnswer) else {}
        yield about | options | {"prompt": answer.prompt, "response": answer.response, "readings": said}


# --- tables -----------------------------------------------------------------------------------------------------------

_SHOWN: Final = 10
_ORDER: Final = ("safe", "unsafe", *LETTERS, NA, FAILED)


def print_tables(agreement: Agreement, console: Console) -> None:
    """Print for the terminal, with the first disagreements to read."""
    print_blocks(_title(agreement), _blocks(agreement), console)
    if count := len(agreement.disagreements):
        print_lines([f"{count} disagreements, the first {min(count, _SHOWN)}:"], console)
        print_lines(map(_disagreement, agreement.disagreements[:_SHOWN]), console)
        console.print()
    print_lines(_notes(agreement), console)


def markdown(agreement: Agreement, argv: Sequence[str]) -> str:
    """The same tables as Markdown, with the command that made them."""
    return markdown_document(
        argv, [f"# {markdown_text(_title(agreement))}", *_blocks(agreement), markdown_list(_notes(agreement))]
    )


def as_csv(agreement: Agreement) -> str:
    """Every number, unrounded, one a line; an empty cell for a number that does not exist."""
    return csv_document(
        ("kind", "judge", "against", "measure", "verdict", "value", "low", "high", "answers"),
        (["" if isinstance(cell, float) and isnan(cell) else cell for cell in line] for line in _lines(agreement)),
    )


def _title(agreement: Agreement) -> str:
    judges = ", ".join(agreement.judges)
    return f"{agreement.n_answers} answers as read by {judges}: {benchmark_named(agreement.source).full_title}"


def _disagreement(each: Mapping[str, Any]) -> str:
    said = ", ".join(f"{name}: {verdict}" for name, verdict in each["readings"].items())
    return f"  {each['task']}, row {each['row']}, question {each['question']}: {each['response']!r} - {said}"


def _blocks(agreement: Agreement) -> list[Block]:
    """Agreement, confusions, and accuracy where answers are labelled."""
    agreements: list[tuple[Value, ...]] = []
    for (kind, first, second), both in agreement.compared.items():
        values = both.equal, defined(both.kappa), both.equal.n_answers, both.failed
        agreements.append((kind, (f"{first},", second), *values))
    accuracies: list[tuple[Value, ...]] = []
    by_label: list[tuple[Value, ...]] = []
    for one in agreement.accuracies:
        who, labelled = (one.kind, one.judge), one.labelled
        rates = labelled.na.value, labelled.failed.value
        accuracies.append((*who, labelled.accuracy, defined(one.kappa), *rates, labelled.failed.of))
        for label in _ORDER if one.kind in _WHOLE_KINDS else ():
            if recall := labelled.recall.get(label):
                by_label.append((*who, label, labelled.precision[label], recall, recall.of))
    header, last = ("kind of answer", "judge"), ("labelled",)
    tables = [
        make_block("Agreement of judges", ("kind of answer", "judges", "equal", "kappa", "read", "failed"), agreements),
        *(_confusion(*key, found) for key, found in agreement.compared.items() if key[0] in _WHOLE_KINDS),
        make_block("Against people's labels", (*header, "accuracy", "kappa", "na", "failed", *last), accuracies),
        make_block("Against people's labels, by label", (*header, "label", "precision", "recall", *last), by_label),
    ]
    return with_rows(tables)


def _confusion(kind: str, first: str, second: str, found: JudgeAgreement) -> Block:
    counts = found.confusion
    seen = {verdict for pair in counts for verdict in pair}
    said = [verdict for verdict in _ORDER if verdict in seen]
    rows = ((one, *(counts.get((one, other), 0) for other in said)) for one in said)
    return make_block(f"{kind.capitalize()}: {first} (rows) and {second} (columns)", ("", *said), rows)


def _notes(agreement: Agreement) -> list[str]:
    """What a reader must know to read the tables right."""
    found = [
        "Equal and kappa are over the answers that both judges have read, na being a reading like any other; in brackets the "
        "95 % interval over concepts. Where nearly all verdicts are the same one, kappa is small or not defined.",
    ]
    if agreement.accuracies:
        found.append(
            "Against people's labels: accuracy, precision and recall leave out answers on which the judge failed; in "
            "brackets the exact 95 % interval, which takes answers for independent."
        )
    return found + list(agreement.notes)


def _lines(agreement: Agreement) -> Iterator[list[Any]]:
    for key, found in agreement.compared.items():
        yield [*key, "equal", None, *_numbers(found.equal)]
        yield [*key, "kappa", None, *_numbers(found.kappa)]
        for (one, other), count in sorted(found.confusion.items()):
            yield [*key, "confusion", f"{one} / {other}", count, None, None, None]
    for accuracy in agreement.accuracies:
        who, labelled = [accuracy.kind, accuracy.judge, _HUMAN], accuracy.labelled
        yield [*who, "kappa", None, *_numbers(accuracy.kappa)]
        for name in ("accuracy", "na", "failed"):
            yield [*who, name, None, *_numbers(getattr(labelled, name))]
        for name, shares in (("precision", labelled.precision), ("recall", labelled.recall)):
            for label, share in shares.items():
                yield [*who, name, label, *_numbers(share)]


def _numbers(found: Estimate | Share) -> tuple[Any, ...]:
    return found.value, found.low, found.high, found.of if isinstance(found, Share) else found.n_answers
