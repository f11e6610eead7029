"""What a harness wrote about one benchmark, checked: whole, of the model that was asked for, no judgement failed."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed
from harness_ext.retention.benchmarks import JUDGED, Benchmark


@dataclass(frozen=True)
class Outcome:
    """One benchmark of one model.

    Attributes:
        scores: The benchmark's metrics by name; ``None`` where the harness had nothing to count for one.
        versions: The tasks' versions by name.
        asked: How many rows were asked.
        available: How many there are.
        failed: How many requests failed; the harness counts them as wrong answers.
    """

    scores: Mapping[str, float | None]
    versions: Mapping[str, Any]
    asked: int
    available: int
    failed: int


def read_outcome(folder: Path, benchmark: Benchmark, what: Mapping[str, Any], limit: int | None) -> Outcome:
    """Read the one evaluation below ``folder``.

    Args:
        folder: Where the harness wrote.
        benchmark: What was asked.
        what: Who was asked: the identities ``weights`` and ``adapter``.
        limit: The most rows of a task that were to be asked; ``None`` for all.

    Raises:
        UserError: It is not whole, not of that model, or holds failed judgements.
    """
    pattern = "*_results.json" if benchmark.harness == "lmms_eval" else "results_*.json"
    files = sorted(folder.rglob(pattern))
    if len(files) != 1:
        raise UserError(f"{folder}: expected the results of one evaluation of {benchmark.task}, found {len(files)}")
    (file,) = files
    content = _read(file)
    _check_model(file, content["config"], what)
    asked = available = failed = 0
    for task, counts in content["n-samples"].items():
        rows = int(counts["original"]) if limit is None else min(limit, int(counts["original"]))
        samples = _samples(file, task, benchmark)
        found, failures = _count(samples, task)
        if found != rows:
            raise UserError(f"{samples}: expected {rows} rows, found {found}; the evaluation is not whole")
        asked, available, failed = asked + rows, available + int(counts["original"]), failed + failures
    results = content["results"].get(benchmark.task, {})
    if not any(metric.name in results for metric in benchmark.metrics):
        expected = ", ".join(metric.name for metric in benchmark.metrics)
        raise UserError(f"{file}: expected {expected} of {benchmark.task}, found {', '.join(results) or 'nothing'}")
    scores = {metric.name: _number(results.get(metric.name)) for metric in benchmark.metrics}
    return Outcome(scores, content.get("versions", {}), asked, available, failed)


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({error}); the evaluation is not whole") from error
    if missing := {"config", "n-samples", "results"} - content.keys():
        raise UserError(
            f"{file}: not a results file of this version of the harness: {', '.join(sorted(missing))} missing"
        )
    return content


def _check_model(file: Path, config: Mapping[str, Any], what: Mapping[str, Any]) -> None:
    for part in ("weights", "adapter"):
        if (found := config.get(f"{part}_identity")) != what[part]:
            raise UserError(
                f"{file}: its {part} were {found}, expected {what[part]}. Did they change while they were evaluated?"
            )


def _samples(results: Path, task: str, benchmark: Benchmark) -> Path:
    """The file of a task's rows, beside that of the results, with the same date in its name."""
    if benchmark.harness == "lmms_eval":
        return results.with_name(results.name.replace("_results.json", f"_samples_{task}.jsonl"))
    return results.with_name(results.name.replace("results_", f"samples_{task}_").replace(".json", ".jsonl"))


def _count(samples: Path, task: str) -> tuple[int, int]:
    """The rows of a task, and those whose request failed."""
    if not samples.is_file():
        raise UserError(f"{samples}: missing; the evaluation is not whole")
    rows = failures = 0
    for row in _rows(samples):
        rows += 1
        failures += any(isinstance(answer, str) and is_failed(answer) for answer in _answers(row))
        if task == JUDGED and min(row["gpt_eval_llava_all"]["scores"]) < 0:
            raise UserError(
                f"{JUDGED}, row {row['doc_id']}: its judge gave no pair of scores, but "
                f"{str(row['gpt_eval_llava_all']['review'])[:200]!r}; lmms-eval would average -1. Run the command again"
            )
    return rows, failures


def _answers(row: Mapping[str, Any]) -> list[Any]:
    answers = row["filtered_resps"]
    return answers if isinstance(answers, list) else [answers]


def _rows(samples: Path) -> Iterator[dict[str, Any]]:
    with samples.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise UserError(f"{samples}, line {number}: cannot be read; the evaluation is not whole") from error


def _number(value: Any) -> float | None:
    if isinstance(value, int | float) and value == value:
        return float(value)
    return None
