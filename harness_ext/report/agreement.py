"""How far judges agree on the same answers, kind by kind, and how right each is where people have labelled answers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any, Final

from harness_ext.benchmark.questions import NUM_QUESTIONS
from harness_ext.common.files import without_nan
from harness_ext.judges.base import PerceptionAnswer
from harness_ext.metrics.agreement import JudgeAgreement, Labelled, against_labels, cohens_kappa, judge_agreement
from harness_ext.metrics.intervals import SEED
from harness_ext.metrics.units import Estimate
from harness_ext.records import FAILED, Judgement
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
    if record.probe in ("context_safe", "context_unsafe"):
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
