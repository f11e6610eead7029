"""One task's answers of one run: what was asked, and what each answer scored, matched to those of another run."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed
from harness_ext.metrics.records import FAILED, Judgement, Way
from harness_ext.report.compare.evaluations import Evaluation
from harness_ext.report.compare.lm_eval_probes import is_probe, probe_records
from harness_ext.report.samples import read_rows, read_samples
from harness_ext.report.scores import manner

JUDGEMENT: Final = "judgement"
Key = tuple[Any, ...]
# What a row holds beside its metrics, in either harness.
_NOT_METRICS: Final = {
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash",
    "target_hash", "token_counts", "input", "input_media",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """What identifies a question, as digests: its document, its wording, its target."""

    document: bytes
    wording: bytes
    target: bytes


@dataclass(frozen=True)
class Answers:
    """One task's answers.

    Attributes:
        evaluation: Where they are from.
        task: The task.
        asked: What each question was, by what names it: the number of its document, or, of this project's tasks, concept,
            row and question.
        scores: Of other benchmarks: the metrics of each answer, by filter, then by question.
        records: Of this project's tasks: each judged answer.
    """

    evaluation: Evaluation
    task: str
    asked: Mapping[Key, Asked]
    scores: Mapping[str, Mapping[Key, Mapping[str, Any]]]
    records: Mapping[Key, Judgement]

    @property
    def path(self) -> Path:
        """The file of the samples."""
        return self.evaluation.samples(self.task)


def read_answers(evaluation: Evaluation, task: str) -> Answers:
    """Read one task's samples.

    Raises:
        UserError: Naming the file and what to do, where it is missing, empty, cut off, of another version, or holds a request
            that failed.
    """
    path = evaluation.samples(task)
    if not path.is_file():
        raise UserError(f"{path}: missing. The run was cut off, or it was run without --log_samples: run it again.")
    expected = evaluation.rows(task) * evaluation.filters(task)
    if not expected:
        raise UserError(f"{evaluation.path}: {task} was asked nothing. Evaluate it again, or leave it out with --task.")
    _, first = next(read_rows(path, expected))
    if JUDGEMENT in first or is_probe(first):
        return _judged(evaluation, task, expected)
    scores: dict[str, dict[Key, dict[str, Any]]] = {}
    asked: dict[Key, Asked] = {}
    failed: list[Key] = []
    for number, row in read_rows(path, expected):
        key = _document(row, path, number)
        metrics = _metrics(row, path, number)
        of_filter = scores.setdefault(str(row.get("filter", "none")), {})
        if key in of_filter:
            raise UserError(
                f"{path}, line {number}: document {key[0]} is there twice, expected once: two runs wrote into this file. Run "
                "the evaluation again into an empty folder."
            )
        of_filter[key] = metrics
        asked[key] = _asked(row, path, number)
        if any(is_failed(text) for text in _texts(row.get("filtered_resps"))):
            failed.append(key)
    _refuse_failed(path, [f"document {key[0]}" for key in failed])
    if wrong := [name for name, each in scores.items() if each.keys() != asked.keys()]:
        raise UserError(f"{path}: filter {wrong[0]} lacks documents that another one has. Run the evaluation again.")
    return Answers(evaluation, task, asked, scores, {})


def _judged(evaluation: Evaluation, task: str, expected: int) -> Answers:
    path = evaluation.samples(task)
    if evaluation.harness == "lm-eval":
        judged = probe_records(path, expected)
    else:
        way: Way = "likelihood" if manner(task) == "likelihood" else "generated"
        judged = read_samples(path, task.partition("_")[0], way, expected)
    asked: dict[Key, Asked] = {}
    records: dict[Key, Judgement] = {}
    for record, (number, row) in zip(judged, read_rows(path, expected), strict=True):
        key = (record.probe, record.label, record.concept, record.row, record.question)
        if key in records:
            raise UserError(f"{path}, line {number}: {' '.join(map(str, key))} is answered twice. Run it again.")
        records[key], asked[key] = record, _asked(row, path, number)
    _refuse_failed(path, [" ".join(map(str, key)) for key, record in records.items() if record.verdict == FAILED])
    return Answers(evaluation, task, asked, {}, records)


def _refuse_failed(path: Path, failed: list[str]) -> None:
    if failed:
        raise UserError(
            f"{path}: {len(failed)} requests failed, the first one {failed[0]}: they say nothing about the model and cannot "
            "be compared. Start the same evaluation again (what was answered is kept), or leave the task out with --task."
        )


def _document(row: Mapping[str, Any], path: Path, number: int) -> Key:
    if "doc_id" not in row:
        raise UserError(f"{path}, line {number}: no doc_id in it. Was it written by another version of the harness?")
    return (row["doc_id"],)


def _metrics(row: Mapping[str, Any], path: Path, number: int) -> dict[str, Any]:
    """A row's metrics; a number that is none is refused."""
    metrics = {name: row[name] for name in row.get("metrics") or row if name in row and name not in _NOT_METRICS}
    for name, value in metrics.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(
                f"{path}, line {number}: {name} is {value}. The model's numbers overflowed or the request failed: evaluate "
                "again in a wider precision, or leave the task out with --task."
            )
    return metrics


def _asked(row: Mapping[str, Any], path: Path, number: int) -> Asked:
    """lm-eval gives hashes of all three; lmms-eval the wording and the target (its hash of the document is of nothing)."""
    if "prompt_hash" in row:
        return Asked(*(_digest(row.get(name)) for name in ("doc_hash", "prompt_hash", "target_hash")))
    if "input" not in row:
        raise UserError(f"{path}, line {number}: no question in it. Was it written by another version of the harness?")
    # Where a file lies differs from machine to machine, its name does not.
    media = [str(name).rpartition("/")[2] for name in row.get("input_media") or ()]
    return Asked(_digest(media), _digest(row["input"]), _digest(row.get("target")))


def _digest(value: Any) -> bytes:
    return blake2b(repr(value).encode(), digest_size=8).digest()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
