"""One task's answers of one evaluation: with their texts, for a judge; or by question, to be matched with another run's."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from harness_ext.benchmark.probes import OF_RECORD, PROBES
from harness_ext.benchmark.questions import perception_options
from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed
from harness_ext.judges.base import AlignmentAnswer, Answer, PerceptionAnswer
from harness_ext.records import FAILED, NA, OF_THE_QUESTION, SAFE, UNSAFE, Judgement, of_the_question
from harness_ext.runs.evaluations import Evaluation
from harness_ext.runs.policies import without_policy
from harness_ext.runs.samples import KEY, holds_failure, read_judged, read_rows

# What names a question: the number of its document, or a probe, label, concept, row and question of this project; between two
# policies, which may label a concept differently, its probe, concept, row of an image, and question.
Key = tuple[Any, ...]
# The keys of a row, in either harness, that are not metrics.
_NOT_METRICS: Final = {
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash",
    "target_hash", "token_counts", "input", "input_media",
}  # fmt: skip
# lm-eval cannot carry the judged record; the row's document and its metrics together are one.
_LM_EVAL_DOC: Final = set(OF_THE_QUESTION)
_TEXT_ONLY: Final = {probe.record for probe in PROBES.values() if probe.shows == "none"}
_OTHER_VERDICT: Final = {SAFE: UNSAFE, UNSAFE: SAFE}
# lm-eval's files do not hold the judge's name; that the tasks are of one version is checked.
_LM_EVAL_JUDGE: Final = "as lm-eval ran it"


# --- with their texts -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Saved:
    """One sample row of this project's tasks."""

    record: Judgement  # how the answer was judged
    row: dict[str, Any]
    answer: Answer | None  # what a judge can read; None where the request failed


def read_saved(evaluation: Evaluation, task: str) -> Iterator[Saved]:
    """The sample rows of one of this project's tasks whose answers were generated.

    Raises:
        UserError: As ``read_judged`` does; and naming file and line for an answer that is not text, or a perception
            question whose options cannot be read.
    """
    for number, row, record in read_judged(evaluation, task):
        try:
            yield Saved(record, row, _answer(record, row))
        except ValueError as error:
            raise UserError(
                f"{evaluation.samples(task)}, line {number}: {error}. Was it written by another version of lmms-eval?"
            ) from error


def _answer(record: Judgement, row: dict[str, Any]) -> Answer | None:
    prompt, response = row.get("input"), row.get("filtered_resps")
    if not isinstance(prompt, str) or not isinstance(response, str):
        found = f"{type(prompt).__name__} and {type(response).__name__}"
        raise ValueError(f"expected a question ('input') and an answer ('filtered_resps') as text, found {found}")
    if record.verdict == FAILED and is_failed(response):
        return None
    if record.probe == "perception":
        return PerceptionAnswer(perception_options(prompt), response, prompt)
    return AlignmentAnswer(record.question, response, prompt, yes=record.yes)


# --- by question, of any benchmark ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """What identifies a question, as digests: its document, its wording, its target."""

    document: bytes
    wording: bytes
    target: bytes


@dataclass(frozen=True)
class Answers:
    """One task's answers."""

    evaluation: Evaluation
    task: str
    asked: Mapping[Key, Asked]
    # Of other benchmarks: an answer's metrics, by filter and question.
    scores: Mapping[str, Mapping[Key, Mapping[str, Any]]]
    records: Mapping[Key, Judgement]  # this project's tasks

    @property
    def path(self) -> Path:
        """The file of the samples."""
        return self.evaluation.samples(self.task)


def read_answers(evaluation: Evaluation, task: str, policy_sha256: str | None = None) -> Answers:
    """Read one task's samples.

    Args:
        evaluation: The results file that they belong to.
        task: The task.
        policy_sha256: Where the answers are to be paired with answers under another policy, the digest of this one's policy,
            empty for none: neither the policy nor a label that follows from it is then part of what identifies a question.

    Raises:
        UserError: Naming the file and what to do: it is missing, empty, cut off, of another version, or holds a request
            that failed.
    """
    path, expected = evaluation.require_samples(task), evaluation.rows(task)
    if not expected:
        raise UserError(f"{evaluation.path}: {task} was asked nothing. Evaluate it again, or leave it out with --task.")
    _, first = next(read_rows(path, expected))
    if KEY in first or _is_lm_eval_probe(first):
        return _judged(evaluation, task, policy_sha256)
    scores: dict[str, dict[Key, dict[str, Any]]] = {}
    asked: dict[Key, Asked] = {}
    failed: list[Key] = []
    for number, row in read_rows(path, expected):
        if "doc_id" not in row:
            raise UserError(
                f"{path}, line {number}: no doc_id in it. Was it written by another version of the harness?"
            )
        key = (row["doc_id"],)
        metrics = _metrics(row, path, number)
        of_filter = scores.setdefault(str(row.get("filter", "none")), {})
        if key in of_filter:
            raise UserError(
                f"{path}, line {number}: document {key[0]} is there twice, expected once: two runs wrote into this file. Run "
                "the evaluation again into an empty folder."
            )
        of_filter[key] = metrics
        asked[key] = _asked(row, path, number)
        if holds_failure(row):
            failed.append(key)
    _refuse_failed(path, [f"document {key[0]}" for key in failed])
    if wrong := [name for name, each in scores.items() if each.keys() != asked.keys()]:
        raise UserError(f"{path}: filter {wrong[0]} lacks documents that another one has. Run the evaluation again.")
    return Answers(evaluation, task, asked, scores, {})


def _judged(evaluation: Evaluation, task: str, policy_sha256: str | None) -> Answers:
    path, rows = evaluation.samples(task), read_judged(evaluation, task)
    if evaluation.harness == "lm-eval":
        plain = read_rows(path, evaluation.rows(task))
        rows = ((number, row, _lm_eval_record(row, path, number)) for number, row in plain)
    asked: dict[Key, Asked] = {}
    records: dict[Key, Judgement] = {}
    for number, row, record in rows:
        key: Key = (record.probe, record.label, record.concept, record.row, record.question)
        of_row = _asked(row, path, number)
        if policy_sha256 is not None:
            key, of_row = _beside_policy(row, record, of_row, policy_sha256)
        if key in records:
            raise UserError(f"{path}, line {number}: {' '.join(map(str, key))} is answered twice. Run it again.")
        records[key], asked[key] = record, of_row
    _refuse_failed(path, [" ".join(map(str, key)) for key, record in records.items() if record.verdict == FAILED])
    return Answers(evaluation, task, asked, {}, records)


def _beside_policy(row: Mapping[str, Any], record: Judgement, asked: Asked, policy_sha256: str) -> tuple[Key, Asked]:
    """What names and identifies a question whatever the policy before it, and the labels by it."""
    # Without an image, the row is the concept's place in its benchmark.
    of_image = (record.row,) if OF_RECORD[record.probe].shows == "image" else ()
    # lm-eval's document has the name of the benchmark in it.
    prompt, document = (row["doc"]["prompt"], b"") if "doc" in row else (row["input"], asked.document)
    question = without_policy(prompt, policy_sha256), record.yes
    return (record.probe, record.concept, *of_image, record.question), Asked(document, _digest(question), b"")


def _is_lm_eval_probe(row: Mapping[str, Any]) -> bool:
    return isinstance(doc := row.get("doc"), dict) and doc.keys() >= _LM_EVAL_DOC and "failed" in row


def _lm_eval_record(row: Mapping[str, Any], path: Path, number: int) -> Judgement:
    """The judged answer of a text-only question, which has two verdicts: a wrong one is the other."""
    problem = None
    known = _is_lm_eval_probe(row) and row["doc"]["probe"] in _TEXT_ONLY
    if not known or row["doc"]["expected"] not in _OTHER_VERDICT:
        problem = "no text-only question"
    elif not row["failed"] and ("na" not in row or "acc_na_wrong" not in row):
        problem = "neither na nor acc_na_wrong"
    if problem:
        raise UserError(f"{path}, line {number}: {problem}. Was it written by another version of this project?")
    doc, right = row["doc"], row["doc"]["expected"]
    verdict = FAILED if row["failed"] else NA if row["na"] else right if row["acc_na_wrong"] else _OTHER_VERDICT[right]
    return Judgement(**of_the_question(doc), verdict=verdict, judge=_LM_EVAL_JUDGE)


def _refuse_failed(path: Path, failed: list[str]) -> None:
    if failed:
        raise UserError(
            f"{path}: {len(failed)} requests failed, the first one {failed[0]}: they say nothing about the model and cannot "
            "be compared. Start the same evaluation again (what was answered is kept), or leave the task out with --task."
        )


def _metrics(row: Mapping[str, Any], path: Path, number: int) -> dict[str, Any]:
    """A row's metrics; a value that is not finite is refused."""
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
