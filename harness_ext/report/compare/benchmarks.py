"""Other benchmarks as measures, from the metrics that the harness wrote beside every sample.

A metric is compared where it is the mean of the samples' scores, or one that is none, as MME's (``own_scores.py``).
Each value is computed again from the samples and must be the one in the results file. A group of tasks, such as MMLU's 57
subjects, is one benchmark if its value in the results is the mean over all samples, or over the tasks' means. The tasks of a
group are fixed, not drawn: samples are the units, in the second case within their task.
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any, Final

from harness_ext.common.errors import UserError
from harness_ext.metrics.units import pair_scores
from harness_ext.report.compare.measures import Measure
from harness_ext.report.compare.own_scores import TOLERANCE, check_reported, is_about, own_score, reported
from harness_ext.runs.answers import Answers, Key
from harness_ext.runs.evaluations import Evaluation, leaves

_MEAN: Final = re.compile(r"mean|<function f?mean( .*)?>")


class NotComparable(Exception):
    """Why a metric of a task is left out; another one may do."""


@dataclass(frozen=True)
class Scores:
    """A metric that is the mean of its samples' scores, in both runs.

    Attributes:
        filter: lm-eval's name of how answers were filtered before they were scored.
        before: The first run's score of each question, 0 to 1.
    """

    task: str
    metric: str
    filter: str
    higher_is_better: bool
    before: Mapping[Key, float]
    after: Mapping[Key, float]


def benchmark_measures(
    pairs: Mapping[str, tuple[Answers, Answers]], metrics: Mapping[str, Sequence[str]]
) -> tuple[list[Measure], list[str]]:
    """The measures of all tasks that hold no judged answers, and notes on what is left out.

    Args:
        pairs: Each task's answers of both runs, to the same questions.
        metrics: The metrics to compare by task, instead of the first of the task's own list.

    Raises:
        UserError: Nothing of a task can be compared, a metric is missing, or its samples are not those of the results file.
    """
    measures: list[Measure] = []
    notes: list[str] = []
    alone: dict[str, Scores] = {}
    for task, (first, other) in pairs.items():
        found, left_out = _of_task(first, other, metrics.get(task, ()))
        notes += left_out
        if len(found) == 1 and isinstance(found[0], Scores):
            alone[task] = found[0]
        else:
            measures += [each if isinstance(each, Measure) else _measure(task, [each]) for each in found]
    of_groups, of_parts = _grouped(alone, pairs)
    return measures + of_groups, notes + of_parts


def _of_task(first: Answers, other: Answers, metrics: Sequence[str]) -> tuple[list[Scores | Measure], list[str]]:
    """The first metric of the task's own list, and of the others those about questions that no metric before them is about.

    MME's two scores are such. With ``metrics``, only these. The second result says what is left out.
    """
    listed, filters = _metric_list(first), list(first.scores)
    labels = {(name, of): name if filters == ["none"] else f"{name},{of}" for of in filters for name in listed}
    if not metrics:
        return _about_different_questions((first, other), labels, listed)
    found: list[Scores | Measure] = []
    left_out: list[str] = []
    for metric in metrics:
        name, _, wanted = metric.partition(",")
        asked = {key: label for key, label in labels.items() if key[0] == name and wanted in ("", key[1])}
        if not asked:
            known = ", ".join(labels.values()) or "none"
            raise UserError(f"{first.path}: no metric {metric!r} of {first.task}; it has {known}")
        of_metric, not_compared = _about_different_questions((first, other), asked, listed)
        found, left_out = found + of_metric, left_out + not_compared
    return found, left_out


def _about_different_questions(
    both: tuple[Answers, Answers], labels: Mapping[tuple[str, str], str], listed: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Scores | Measure], list[str]]:
    """The first of ``labels``, a metric and a filter, and those about questions that none before them is about."""
    first, _ = both
    found: list[Scores | Measure] = []
    reasons: list[str] = []
    covered: set[Key] = set()
    for (name, filter_name), label in labels.items():
        rows = first.scores[filter_name].items()
        about = {key for key, metrics in rows if name in metrics and is_about(name, metrics[name])}
        if covered & about:
            reasons.append(f"{label} (--metric {first.task}={label} compares it instead)")
        elif about:
            try:
                found.append(_one(both, name, filter_name, listed[name]))
                covered |= about
            except NotComparable as reason:
                reasons.append(f"{label}: {reason}")
    if not found:
        raise UserError(
            f"{first.path}: no metric of {first.task} can be compared ({'; '.join(reasons) or 'its samples hold none'}). "
            "Leave the task out with --task."
        )
    return found, [f"{first.task}, not compared: {reason}." for reason in reasons]


def _measure(benchmark: str, parts: Sequence[Scores], by_task: bool = False) -> Measure:
    """The mean over the samples of one or several tasks; ``by_task``, the mean over the tasks of their means."""
    keys: list[tuple[Hashable, ...]] = [(part.task, *key) for part in parts for key in part.before]
    before = [score for part in parts for score in part.before.values()]
    after = [part.after[key] for part in parts for key in part.before]
    paired = pair_scores(keys, before, after, [key[0] for key in keys] if by_task else None)
    one, right = parts[0], None
    if set(before) | set(after) <= {0.0, 1.0}:
        better = 1.0 if one.higher_is_better else 0.0
        right = [score == better for score in before], [score == better for score in after]
    title = f"{benchmark} ({one.metric}{'' if one.filter == 'none' else f', {one.filter}'})"
    return Measure("benchmark", benchmark, title, one.metric, one.higher_is_better, "sample", len(keys), paired, right)


def _one(both: Sequence[Answers], metric: str, filter_name: str, entry: Mapping[str, Any]) -> Scores | Measure:
    first, other = both
    of_run = [
        {key: metrics[metric] for key, metrics in answers.scores[filter_name].items() if metric in metrics}
        for answers in both
    ]
    if of_run[0].keys() != of_run[1].keys():
        raise UserError(f"{other.path}: {metric} is of other questions than in {first.path}. Evaluate both alike.")
    found = [value for scores in of_run for value in scores.values()]
    runs = list(zip(both, of_run, strict=True))
    if own := own_score(runs, metric, filter_name):
        return own
    higher = entry.get("higher_is_better")
    if not isinstance(higher, bool):
        raise NotComparable("the task does not say whether more of it is better")
    if not all(isinstance(value, int | float) for value in found):
        raise NotComparable("the samples hold no number for it")
    if not all(0 <= value <= 1 for value in found):
        raise NotComparable("its scores are not between 0 and 1, and a margin, which is a share, says nothing about it")
    means = [sum(scores.values()) / len(scores) for scores in of_run]
    for answers, mean in zip(both, means, strict=True):
        value = reported(answers, metric, filter_name)
        if abs(mean - value) > TOLERANCE and not _MEAN.fullmatch(str(entry.get("aggregation"))):
            raise NotComparable(f"it is not the mean of its samples' scores ({mean:.6g} against {value:.6g})")
    check_reported(runs, metric, filter_name, means)
    before, after = ({key: float(value) for key, value in scores.items()} for scores in of_run)
    return Scores(first.task, metric, filter_name, higher, before, after)


def _metric_list(answers: Answers) -> dict[str, Mapping[str, Any]]:
    """The task's metrics, in its order."""
    content = answers.evaluation.content
    listed = content["configs"].get(answers.task, {}).get("metric_list") or []
    higher = content.get("higher_is_better", {}).get(answers.task, {})
    found: dict[str, Mapping[str, Any]] = {
        str(entry["metric"]): {"higher_is_better": higher.get(entry["metric"]), **entry} for entry in listed
    }
    return found or {name: {"higher_is_better": value} for name, value in higher.items()}


# --- groups -----------------------------------------------------------------------------------------------------------


def _grouped(
    scores: Mapping[str, Scores], pairs: Mapping[str, tuple[Answers, Answers]]
) -> tuple[list[Measure], list[str]]:
    """One measure for each group, and for each task outside of them, from the one metric of each task."""
    found: list[Measure] = []
    notes: list[str] = []
    done: set[str] = set()
    evaluations = {str(pairs[task][0].evaluation.path): pairs[task][0].evaluation for task in scores}
    for evaluation in evaluations.values():
        subtasks = evaluation.content.get("group_subtasks", {})
        of_group = {each: leaves(evaluation, each) for each in evaluation.content.get("groups", {}) if each in subtasks}
        # The outermost groups first.
        for group, tasks in sorted(of_group.items(), key=lambda each: -len(each[1])):
            if done & set(tasks) or not set(tasks) <= scores.keys() or len(tasks) < 2:
                continue
            parts = [scores[task] for task in tasks]
            if (by_task := _by_task(group, parts, (evaluation, pairs[tasks[0]][1].evaluation))) is None:
                notes.append(f"{group}: its value is no mean of its tasks' samples; they are compared one by one.")
                continue
            found.append(_measure(group, parts, by_task))
            done |= set(tasks)
    return found + [_measure(task, [each]) for task, each in scores.items() if task not in done], notes


def _by_task(group: str, parts: Sequence[Scores], evaluations: Sequence[Evaluation]) -> bool | None:
    """Whether the group's value, in both runs, is the mean over tasks of their means, or the one over all samples.

    ``None`` for another way, or without a value.
    """
    if len({(part.metric, part.filter, part.higher_is_better) for part in parts}) > 1:
        return None
    ways = {False, True}
    for evaluation, run in zip(evaluations, ("before", "after"), strict=True):
        value = evaluation.content.get("groups", {}).get(group, {}).get(f"{parts[0].metric},{parts[0].filter}")
        if not isinstance(value, float | int):
            return None
        sums = [(fsum(getattr(part, run).values()), len(part.before)) for part in parts]
        pooled = fsum(total for total, _ in sums) / sum(count for _, count in sums)
        of_means = fsum(total / count for total, count in sums) / len(sums)
        ways &= {way for way, mean in ((False, pooled), (True, of_means)) if abs(mean - value) <= TOLERANCE}
    return min(ways, default=None)
