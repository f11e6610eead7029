"""A saved run judged again: the same answers, another judge, a new result folder beside the old one."""

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from harness_ext import __version__
from harness_ext.common.errors import UserError
from harness_ext.common.failures import writable
from harness_ext.common.files import require_writable_folder, resumed_folder, sha256, whole_lines, write_text
from harness_ext.judges.base import BatchJudge, verdicts
from harness_ext.judges.registry import JudgeSpec
from harness_ext.metrics.records import FAILED, Judgement
from harness_ext.rejudge.numbers import gap_results, is_gap, judged_row, task_results
from harness_ext.rejudge.plan import Evaluation, Task, plan
from harness_ext.rejudge.saved import read_saved
from harness_ext.report.results import JUDGED_BY, JUDGED_FROM
from harness_ext.report.samples import read_samples


@dataclass(frozen=True)
class Judged:
    """What came of one evaluation.

    Attributes:
        file: The results file of the evaluation.
        answers: How many answers of each task were judged.
        judge_failed: Of these, those on which the judge failed, by task that has any.
        kept: Why each task that was not judged again keeps its judge.
    """

    file: Path
    answers: Mapping[str, int]
    judge_failed: Mapping[str, int]
    kept: Mapping[str, str]


@dataclass(frozen=True)
class Outcome:
    """What came of a run: the new result folder, the judge's name and version, and its evaluations."""

    folder: Path
    judge: str
    evaluations: tuple[Judged, ...]


def judge_again(run: Path, spec: JudgeSpec, folder: Path | None = None) -> Outcome:
    """Judge a run's answers again.

    Args:
        run: The ``--output_path`` of evaluations by lmms-eval with ``--log_samples``; it is only read.
        spec: The judge.
        folder: The new result folder; ``None`` for one beside the run, named after run and judge.

    Raises:
        UserError: Naming the file or folder: nothing to judge, the run is incomplete, the new folder is there or lies inside
            the run; or the judge cannot be loaded, gives no verdict of the protocol, or fails on every answer.
    """
    evaluations = plan(run)
    require_writable_folder((folder or run.resolve()).parent)
    judge = spec.open()
    folder = folder or default_folder(run, judge)
    if run.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise UserError(f"{folder}: lies in {run}, which is only read. Choose a folder beside it with -o.")
    made_from = {
        "judge": judge.name,
        "judge_asked_by": {"name": spec.name, "options": dict(spec.options)},
        "unsafeconcepts_version": __version__,
        "run": str(run.resolve()),
        "files": {str(path.relative_to(run)): sha256(path) for path in _files(evaluations)},
    }
    with resumed_folder(folder, made_from) as part:
        judged = _judge_all(evaluations, judge, run, part)
        if 0 < _total(each.answers for each in judged) == _total(each.judge_failed for each in judged):
            shutil.rmtree(part)  # a later start would take the failures for judged answers
            raise UserError(f"judge {judge.name} failed on every answer; nothing is written")
        for evaluation, outcome in zip(evaluations, judged, strict=True):
            place = part / evaluation.file.path.relative_to(run)
            content = _content(evaluation, place.parent, judge, made_from, outcome)
            write_text(place, json.dumps(content, indent=2, ensure_ascii=False))
    return Outcome(folder, judge.name, tuple(judged))


def default_folder(run: Path, judge: BatchJudge) -> Path:
    """Beside the run: its name, two underscores, the judge's name."""
    run = run.resolve()
    return run.with_name(f"{run.name}__{re.sub(r'[^A-Za-z0-9._+-]+', '-', judge.name)}")


def _judge_all(evaluations: Sequence[Evaluation], judge: BatchJudge, run: Path, part: Path) -> list[Judged]:
    total = sum(task.rows for evaluation in evaluations for task in evaluation.judged)
    with tqdm(total=total, desc=f"Judging by {judge.name}", unit="answer", disable=None) as bar:
        return [_judge_evaluation(evaluation, judge, run, part, bar) for evaluation in evaluations]


def _judge_evaluation(evaluation: Evaluation, judge: BatchJudge, run: Path, part: Path, bar: "tqdm[Any]") -> Judged:
    answers: dict[str, int] = {}
    failed: dict[str, int] = {}
    kept: dict[str, str] = {}
    for task in evaluation.tasks:
        place = part / task.samples.relative_to(run)
        place.parent.mkdir(parents=True, exist_ok=True)
        if task.kept is None:
            answers[task.name], without = _judge_task(task, evaluation, judge, place, bar)
            if without:
                failed[task.name] = without
            continue
        kept[task.name] = task.kept
        if task.samples.is_file():
            shutil.copyfile(task.samples, place)
    return Judged(evaluation.file.path, answers, failed, kept)


def _judge_task(
    task: Task, evaluation: Evaluation, judge: BatchJudge, place: Path, bar: "tqdm[Any]"
) -> tuple[int, int]:
    """Write a task's rows, each as it is judged; returns how many answers there are, and on how many the judge failed."""
    saved = list(read_saved(task.samples, task.source, task.rows))
    results = evaluation.file.content.get("results", {}).get(task.name, {})
    done = whole_lines(place)
    bar.update(done)
    read = verdicts(judge, [each.answer for each in saved[done:] if each.answer is not None])
    with place.open("a", encoding="utf-8", newline="\n") as file:
        for each in saved[done:]:
            verdict = FAILED if each.answer is None else next(read)
            record = replace(each.record, verdict=verdict, judge=judge.name)
            row = judged_row(each.row, each.record, record, results)
            file.write(writable(json.dumps(row, ensure_ascii=False)) + "\n")
            file.flush()
            bar.update()
    for _ in read:  # where the judge gave more verdicts than there are answers, this says so
        pass
    written = _records(place, task)
    answers = sum(each.answer is not None for each in saved)
    return answers, sum(
        record.verdict == FAILED and each.answer is not None for record, each in zip(written, saved, strict=True)
    )


def _records(place: Path, task: Task) -> tuple[Judgement, ...]:
    """A task's new judgements, read back and checked as any run's."""
    return read_samples(place, task.source, "generated", task.rows)


def _content(
    evaluation: Evaluation, place: Path, judge: BatchJudge, made_from: Mapping[str, Any], outcome: Judged
) -> dict[str, Any]:
    """The results file; ``efficiency``, which counts right answers by the old judge, is left out."""
    old = evaluation.file.content
    content = {key: value for key, value in old.items() if key != "efficiency"}
    results = dict(old.get("results", {}))
    probes: dict[str, str] = {}
    for task in evaluation.judged:
        records = _records(place / task.samples.name, task)
        results[task.name] = task_results(results.get(task.name, {}), records)
        probes[task.name] = records[0].probe
    groups = dict(old.get("groups", {}))
    for group, inside in old.get("group_subtasks", {}).items():
        before = results.get(group, {})
        if probes.keys() & set(inside) and is_gap(group, before, [probes.get(task, "none") for task in inside]):
            results[group] = groups[group] = gap_results(before, *(results[task] for task in inside))
    if groups:
        content["groups"] = groups
    about = dict(made_from) | {"kept": dict(outcome.kept), "judge_failed": dict(outcome.judge_failed)}
    origin = f"{evaluation.file.path.resolve()} (sha256 {sha256(evaluation.file.path)})"
    config = dict(old["config"]) | {JUDGED_BY: judge.name, JUDGED_FROM: origin}
    return content | {"results": results, "config": config, "judged_again": about}


def _files(evaluations: Sequence[Evaluation]) -> Iterator[Path]:
    for evaluation in evaluations:
        yield evaluation.file.path
        yield from (task.samples for task in evaluation.tasks if task.samples.is_file())


def _total(counts: Iterable[Mapping[str, int]]) -> int:
    return sum(number for count in counts for number in count.values())
