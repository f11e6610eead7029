"""A saved run judged again: the same answers, another judge, a new result folder beside the old one."""

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import numpy as np
from tqdm import tqdm

from harness_ext import __version__
from harness_ext.benchmark.probes import GAPS, manner, source_of
from harness_ext.benchmark.taxonomy import CATEGORIES, slug
from harness_ext.common.errors import UserError
from harness_ext.common.failures import writable
from harness_ext.common.files import require_writable_folder, resumed_folder, sha256, whole_lines, write_text
from harness_ext.judges.base import BatchJudge, verdicts
from harness_ext.judges.envelope import VERSION, opened
from harness_ext.judges.registry import JudgeSpec
from harness_ext.probes.metrics import clustered_stderr, modality_gap, per_answer_metrics
from harness_ext.records import FAILED, GENERATED, LIKELIHOOD, NA, Judgement
from harness_ext.runs.answers import read_saved
from harness_ext.runs.evaluations import ENVELOPE, JUDGED_BY, JUDGED_FROM, Evaluation
from harness_ext.runs.load import lmms_evaluations
from harness_ext.runs.samples import NotWhole, read_samples

Results = Mapping[str, Any]
_BY_LIKELIHOOD: Final = "asked by likelihood: there is no text to judge"
_EXACT: Final = "one of a few words, read by exact match"
_OTHERS: Final = "not of this project's probes"
_UNJUDGED: Final = "holds no judged answers"
# What does not depend on the judge stays as the harness wrote it, in a task's results and in its sample rows.
_OF_THE_ANSWER: Final = ("alias", "samples", "judgement", "diversity")
_GAP_METRICS: Final = ("acc_unsafe", *(f"acc_{slug(category)}" for category in CATEGORIES))
# How lmms-eval marks a group that aggregates nothing.
_NO_AGGREGATION: Final = " "


@dataclass(frozen=True)
class PlannedTask:
    """One task of an evaluation.

    Attributes:
        name: Its name.
        samples: The file of its sample rows.
        source: ``"unsafeconcepts"`` or ``"glyphworld"``; empty for another benchmark's.
        rows: How many rows it has.
        kept: Why it keeps its judge; ``None`` where it is judged again.
    """

    name: str
    samples: Path
    source: str
    rows: int
    kept: str | None


@dataclass(frozen=True)
class Planned:
    """One evaluation and its tasks."""

    of: Evaluation
    tasks: tuple[PlannedTask, ...]

    @property
    def judged(self) -> list[PlannedTask]:
        """The tasks that are judged again."""
        return [task for task in self.tasks if task.kept is None]


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
    planned = plan(run)
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
        "files": {str(path.relative_to(run)): sha256(path) for path in _files(planned)},
    }
    with resumed_folder(folder, made_from) as part:
        judged = _judge_all(planned, judge, run, part)
        if 0 < _total(each.answers for each in judged) == _total(each.judge_failed for each in judged):
            shutil.rmtree(part)  # a later start would take the failures for judged answers
            raise UserError(f"judge {judge.name} failed on every answer; nothing is written")
        for evaluation, outcome in zip(planned, judged, strict=True):
            place = part / evaluation.of.path.relative_to(run)
            content = _content(evaluation, place.parent, judge, made_from, outcome)
            write_text(place, json.dumps(content, indent=2, ensure_ascii=False))
    return Outcome(folder, judge.name, tuple(judged))


def default_folder(run: Path, judge: BatchJudge) -> Path:
    """Beside the run: its name, two underscores, the judge's name."""
    run = run.resolve()
    return run.with_name(f"{run.name}__{re.sub(r'[^A-Za-z0-9._+-]+', '-', judge.name)}")


def _judge_all(evaluations: Sequence[Planned], judge: BatchJudge, run: Path, part: Path) -> list[Judged]:
    total = sum(task.rows for evaluation in evaluations for task in evaluation.judged)
    with tqdm(total=total, desc=f"Judging by {judge.name}", unit="answer", disable=None) as bar:
        return [_judge_evaluation(evaluation, judge, run, part, bar) for evaluation in evaluations]


def _judge_evaluation(evaluation: Planned, judge: BatchJudge, run: Path, part: Path, bar: "tqdm[Any]") -> Judged:
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
    return Judged(evaluation.of.path, answers, failed, kept)


def _judge_task(
    task: PlannedTask, evaluation: Planned, judge: BatchJudge, place: Path, bar: "tqdm[Any]"
) -> tuple[int, int]:
    """Write a task's rows, each as it is judged; returns how many answers there are, and on how many the judge failed."""
    saved = list(read_saved(task.samples, task.source, task.rows))
    results = evaluation.of.content.get("results", {}).get(task.name, {})
    done = whole_lines(place)
    bar.update(done)
    read = verdicts(judge, [each.answer for each in saved[done:] if each.answer is not None])
    with place.open("a", encoding="utf-8", newline="\n") as file:
        for each in saved[done:]:
            verdict = FAILED if each.answer is None else next(read)
            cut_off = each.answer is not None and verdict == NA and opened(each.answer.response).cut_off
            record = replace(each.record, verdict=verdict, judge=judge.name, cut_off=cut_off)
            row = judged_row(each.row, each.record, record, results)
            file.write(writable(json.dumps(row, ensure_ascii=False)) + "\n")
            file.flush()
            bar.update()
    for _ in read:  # where the judge gave more verdicts than there are answers, this says so
        pass
    written = read_samples(place, task.source, GENERATED, task.rows)
    answers = sum(each.answer is not None for each in saved)
    return answers, sum(
        record.verdict == FAILED and each.answer is not None for record, each in zip(written, saved, strict=True)
    )


def _content(
    evaluation: Planned, place: Path, judge: BatchJudge, made_from: Mapping[str, Any], outcome: Judged
) -> dict[str, Any]:
    """The results file; ``efficiency``, which counts right answers by the old judge, is left out."""
    old = evaluation.of.content
    content = {key: value for key, value in old.items() if key != "efficiency"}
    results = dict(old.get("results", {}))
    probes: dict[str, str] = {}
    for task in evaluation.judged:
        records = read_samples(place / task.samples.name, task.source, GENERATED, task.rows)
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
    origin = f"{evaluation.of.path.resolve()} (sha256 {sha256(evaluation.of.path)})"
    config = dict(old["config"]) | {JUDGED_BY: judge.name, JUDGED_FROM: origin, ENVELOPE: VERSION}
    return content | {"results": results, "config": config, "judged_again": about}


def _files(evaluations: Sequence[Planned]) -> Iterator[Path]:
    for evaluation in evaluations:
        yield evaluation.of.path
        yield from (task.samples for task in evaluation.tasks if task.samples.is_file())


def _total(counts: Iterable[Mapping[str, int]]) -> int:
    return sum(number for count in counts for number in count.values())


# --- what is judged again ---------------------------------------------------------------------------------------------


def plan(run: Path) -> list[Planned]:
    """Look through the evaluations of lmms-eval below ``run``; all samples of this project's tasks are checked.

    An evaluation that was cut off while it was saved is left out if newer whole ones of the same model asked the same
    tasks: as in a table, the newest evaluation of a task counts.

    Raises:
        UserError: Naming the folder or file: nothing is there to judge, or what is there is incomplete or of another version.
    """
    if not run.is_dir():
        raise UserError(f"{run}: no such folder. Expected the --output_path of an evaluation with --log_samples.")
    planned: list[Planned] = []
    for evaluation in reversed(lmms_evaluations(run)):
        try:
            planned.append(Planned(evaluation, tuple(_task(evaluation, name) for name in evaluation.tasks)))
        except NotWhole:
            newer = {task for other in planned if other.of.names == evaluation.names for task in other.of.tasks}
            if not {task for task in evaluation.tasks if source_of(task)} <= newer:
                raise
    planned.sort(key=lambda each: each.of.path)
    if not any(each.judged for each in planned):
        kept = [f"{task.name} ({task.kept})" for each in planned for task in each.tasks]
        raise UserError(f"{run}: nothing to judge again: {'; '.join(kept) or 'no task in it'}")
    return planned


def _task(evaluation: Evaluation, name: str) -> PlannedTask:
    source, rows = source_of(name), evaluation.rows(name)
    if source is None:
        return PlannedTask(name, evaluation.samples(name), "", rows, _OTHERS)
    path = evaluation.require_samples(name)
    if manner(name) == LIKELIHOOD:
        return PlannedTask(name, path, source, rows, _BY_LIKELIHOOD)
    records = read_samples(path, source, GENERATED, rows)
    probes = {record.probe for record in records}
    if "capability" in probes and len(probes) > 1:
        raise UserError(f"{path}: expected one probe, found {', '.join(sorted(probes))}. Evaluate it again.")
    kept = _UNJUDGED if not records else _EXACT if "capability" in probes else None
    return PlannedTask(name, path, source, rows, kept)


# --- the results of a task and of a group, as lmms-eval writes them ---------------------------------------------------


def judged_row(row: Mapping[str, Any], before: Judgement, after: Judgement, results: Results) -> dict[str, Any]:
    """A sample row with another judgement and the metrics that follow from it.

    Args:
        row: The row as the harness wrote it.
        before: Its judgement.
        after: The new one.
        results: The results of its task, whose keys say what is a metric.
    """
    metrics = {_metric(key) for key in results} | per_answer_metrics(before).keys()
    kept = {key: value for key, value in row.items() if key in _OF_THE_ANSWER or key not in metrics}
    return kept | per_answer_metrics(after) | {"judgement": after.to_dict()}


def task_results(before: Results, records: Sequence[Judgement]) -> dict[str, Any]:
    """A task's results: of every metric its mean over the answers that have it, in the form that lmms-eval gives them.

    The standard errors are those of the harness: one that takes answers for independent, and one that takes those about one
    concept together.
    """
    values: dict[str, list[float]] = {}
    concepts: dict[str, list[str]] = {}
    for record in records:
        for name, value in per_answer_metrics(record).items():
            if isinstance(value, tuple):
                raise ValueError(f"expected generated answers, found one by likelihood ({record.judge})")
            values.setdefault(name, []).append(value)
            concepts.setdefault(name, []).append(record.concept)
    found = {key: value for key, value in before.items() if _metric(key) in _OF_THE_ANSWER}
    for name, each in values.items():
        error = float(np.std(each, ddof=1) / np.sqrt(len(each))) if len(each) > 1 else "N/A"
        found |= {f"{name},none": fmean(each), f"{name}_stderr,none": "N/A"}
        clustered = clustered_stderr(each, concepts[name])
        found |= {f"{name}_stderr_clt,none": error}
        found |= {f"{name}_stderr_clustered,none": "N/A" if isnan(clustered) else clustered}
    return found


def is_gap(group: str, results: Results, probes: Sequence[str]) -> bool:
    """Whether a group is a modality gap, by its results and the probes of its tasks.

    Raises:
        UserError: It aggregates its tasks in another way, which cannot be computed here.
    """
    if _NO_AGGREGATION in results:
        return False
    if tuple(reversed(probes)) not in GAPS.values():
        raise UserError(
            f"group {group}: expected an image and a text task, whose difference it is, found {', '.join(probes) or 'none'}; "
            "what it aggregates cannot be computed again. Evaluate its tasks without the group."
        )
    return True


def gap_results(before: Results, image: Results, text: Results) -> dict[str, Any]:
    """The modality gap of two tasks' results, overall and by category; nan where only one of them has the accuracy."""
    found = {key: value for key, value in before.items() if _metric(key) in _OF_THE_ANSWER}
    for name in _GAP_METRICS:
        key = f"{name},none"
        if values := [results[key] for results in (image, text) if key in results]:
            found |= {key: modality_gap(values, (), False), f"{name}_stderr,none": "N/A"}
    return found


def _metric(key: str) -> str:
    name = key.partition(",")[0]
    for suffix in ("_stderr_clt", "_stderr_clustered", "_stderr"):
        name = name.removesuffix(suffix)
    return name
