"""A saved run judged again: the same answers, another judge, a new result folder beside the old one."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isnan
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import numpy as np
from tqdm import tqdm

from harness_ext import __version__
from harness_ext.benchmark.probes import GAPS
from harness_ext.common.errors import UserError
from harness_ext.common.failures import writable
from harness_ext.common.files import require_writable_folder, resumed_folder, sha256, whole_lines, write_text
from harness_ext.judges.base import BatchJudge, verdicts
from harness_ext.judges.envelope import VERSION, opened
from harness_ext.judges.guard import is_of_guard
from harness_ext.judges.registry import JudgeSpec
from harness_ext.probes.metrics import clustered_stderr, is_of_unsafe, modality_gap, per_answer_metrics
from harness_ext.records import FAILED, LIKELIHOOD, NA, Judgement
from harness_ext.registry import find_task
from harness_ext.runs.answers import read_saved
from harness_ext.runs.evaluations import ENVELOPE, JUDGED_BY, JUDGED_FROM, Evaluation, NotWhole
from harness_ext.runs.load import lmms_evaluations
from harness_ext.runs.samples import read_samples

Results = Mapping[str, Any]
# What does not depend on the judge stays as the harness wrote it, in a task's results and in its sample rows.
_OF_THE_ANSWER: Final = ("alias", "samples", "judgement", "diversity")
# How lmms-eval marks a group that aggregates nothing.
_NO_AGGREGATION: Final = " "


@dataclass(frozen=True)
class Judged:
    """One evaluation, and what comes of it."""

    of: Evaluation
    kept: Mapping[str, str]  # why each task that is not judged again keeps its judge
    answers: Mapping[str, int] = field(default_factory=dict)  # how many of each other task were judged; empty before
    judge_failed: Mapping[str, int] = field(default_factory=dict)  # how many of these the judge failed on, if any

    @property
    def tasks(self) -> list[str]:
        """The tasks that are judged again."""
        return [task for task in self.of.tasks if task not in self.kept]


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
        folder: The new result folder; ``None`` for one beside the run: its name, two underscores, the judge's name.

    Raises:
        UserError: Naming the file or folder: nothing to judge, the run is incomplete, the new folder is there or lies inside
            the run; or the judge cannot be loaded, gives no verdict of the protocol, or fails on every answer.
    """
    planned = plan(run)
    require_writable_folder((folder or run.resolve()).parent)
    judge = spec.open()
    if folder is None:
        beside = run.resolve()
        folder = beside.with_name(f"{beside.name}__{re.sub(r'[^A-Za-z0-9._+-]+', '-', judge.name)}")
    if run.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise UserError(f"{folder}: lies in {run}, which is only read. Choose a folder beside it with -o.")
    files = [
        path for each in planned for path in (each.of.path, *map(each.of.samples, each.of.tasks)) if path.is_file()
    ]
    made_from = {
        "judge": judge.name,
        "judge_asked_by": {"name": spec.name, "options": dict(spec.options)},
        "unsafeconcepts_version": __version__,
        "run": str(run.resolve()),
        "files": {str(path.relative_to(run)): sha256(path) for path in files},
    }
    total = sum(each.of.rows(task) for each in planned for task in each.tasks)
    with resumed_folder(folder, made_from) as part:
        copies = [replace(each.of, path=part / each.of.path.relative_to(run)) for each in planned]
        with tqdm(total=total, desc=f"Judging by {judge.name}", unit="answer", disable=None) as bar:
            judged = [_judge_evaluation(each, copy, judge, bar) for each, copy in zip(planned, copies, strict=True)]
        answers = sum(sum(each.answers.values()) for each in judged)
        if 0 < answers == sum(sum(each.judge_failed.values()) for each in judged):
            shutil.rmtree(part)  # a later start would take the failures for judged answers
            raise UserError(f"judge {judge.name} failed on every answer; nothing is written")
        for each, copy in zip(judged, copies, strict=True):
            content = _content(each, copy, judge, made_from)
            write_text(copy.path, json.dumps(content, indent=2, ensure_ascii=False))
    return Outcome(folder, judge.name, tuple(judged))


def _judge_evaluation(planned: Judged, copy: Evaluation, judge: BatchJudge, bar: "tqdm[Any]") -> Judged:
    copy.path.parent.mkdir(parents=True, exist_ok=True)
    answers: dict[str, int] = {}
    failed: dict[str, int] = {}
    for task in planned.tasks:
        answers[task], without = _judge_task(task, planned.of, copy, judge, bar)
        if without:
            failed[task] = without
    for task in planned.kept:
        if (samples := planned.of.samples(task)).is_file():
            shutil.copyfile(samples, copy.samples(task))
    return replace(planned, answers=answers, judge_failed=failed)


def _judge_task(task: str, old: Evaluation, copy: Evaluation, judge: BatchJudge, bar: "tqdm[Any]") -> tuple[int, int]:
    """Write a task's rows, each as it is judged; returns how many answers there are, and on how many the judge failed."""
    saved = list(read_saved(old, task))
    results = old.content.get("results", {}).get(task, {})
    done = whole_lines(copy.samples(task))
    bar.update(done)
    read = verdicts(judge, [each.answer for each in saved[done:] if each.answer is not None])
    with copy.samples(task).open("a", encoding="utf-8", newline="\n") as file:
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
    answered = [record for record, each in zip(read_samples(copy, task), saved, strict=True) if each.answer is not None]
    return len(answered), sum(record.verdict == FAILED for record in answered)


def _content(judged: Judged, copy: Evaluation, judge: BatchJudge, made_from: Mapping[str, Any]) -> dict[str, Any]:
    """The results file; ``efficiency``, which counts right answers by the old judge, is left out."""
    old = judged.of.content
    content = {key: value for key, value in old.items() if key != "efficiency"}
    results = dict(old.get("results", {}))
    probes: dict[str, str] = {}
    for task in judged.tasks:
        records = read_samples(copy, task)
        results[task] = task_results(results.get(task, {}), records)
        probes[task] = records[0].probe
    groups = dict(old.get("groups", {}))
    for group, inside in old.get("group_subtasks", {}).items():
        before = results.get(group, {})
        if probes.keys() & set(inside) and is_gap(group, before, [probes.get(task, "none") for task in inside]):
            results[group] = groups[group] = gap_results(before, *(results[task] for task in inside))
    if groups:
        content["groups"] = groups
    about = {**made_from, "kept": judged.kept, "judge_failed": judged.judge_failed}
    origin = f"{judged.of.path.resolve()} (sha256 {sha256(judged.of.path)})"
    config = {**old["config"], JUDGED_BY: judge.name, JUDGED_FROM: origin, ENVELOPE: VERSION}
    return content | {"results": results, "config": config, "judged_again": about}


# --- what is judged again ---------------------------------------------------------------------------------------------


def plan(run: Path) -> list[Judged]:
    """Look through the evaluations of lmms-eval below ``run``; all samples of this project's tasks are checked.

    An evaluation that was cut off while it was saved is left out if newer whole ones of the same model asked the same
    tasks: as in a table, the newest evaluation of a task counts.

    Raises:
        UserError: Naming the folder or file: nothing is there to judge, or what is there is incomplete or of another version.
    """
    if not run.is_dir():
        raise UserError(f"{run}: no such folder. Expected the --output_path of an evaluation with --log_samples.")
    planned: list[Judged] = []
    for evaluation in reversed(lmms_evaluations(run)):
        try:
            kept = {task: why for task in evaluation.tasks if (why := _why_kept(evaluation, task))}
        except NotWhole:
            newer = {task for other in planned if other.of.names == evaluation.names for task in other.of.tasks}
            if not {task for task in evaluation.tasks if find_task(task)} <= newer:
                raise
        else:
            planned.append(Judged(evaluation, kept))
    planned.sort(key=lambda each: each.of.path)
    if not any(each.tasks for each in planned):
        kept_tasks = [f"{task} ({why})" for each in planned for task, why in each.kept.items()]
        raise UserError(f"{run}: nothing to judge again: {'; '.join(kept_tasks) or 'no task in it'}")
    return planned


def _why_kept(evaluation: Evaluation, task: str) -> str | None:
    """Why a task keeps its judge; ``None`` where it is judged again."""
    if (asked := find_task(task)) is None:
        return "not of this project's probes"
    path = evaluation.require_samples(task)
    if asked.manner == LIKELIHOOD:
        return "asked by likelihood: there is no text to judge"
    records = read_samples(evaluation, task)
    if any(is_of_guard(record.judge) for record in records):
        return "answers of a guard: they are in its own format, which no other judge reads"
    probes = {record.probe for record in records}
    if "capability" not in probes:
        return None if probes else "holds no judged answers"
    if len(probes) > 1:
        raise UserError(f"{path}: expected one probe, found {', '.join(sorted(probes))}. Evaluate it again.")
    return "one of a few words, read by exact match"


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
    names = dict.fromkeys(_metric(key) for results in (image, text) for key in results)
    for name in filter(is_of_unsafe, names):
        key = f"{name},none"
        if values := [results[key] for results in (image, text) if key in results]:
            found |= {key: modality_gap(values, (), False), f"{name}_stderr,none": "N/A"}
    return found


def _metric(key: str) -> str:
    name = key.partition(",")[0]
    for suffix in ("_stderr_clt", "_stderr_clustered", "_stderr"):
        name = name.removesuffix(suffix)
    return name
