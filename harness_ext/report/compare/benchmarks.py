"""Other benchmarks as measures, from the metrics that the harness wrote beside every sample.

A metric is compared where it is the mean of the samples' scores, or one of MME's and LLaVA-Bench's, which are not means.
Each value is computed again from the samples and must be the one in the results file. A group of tasks, such as MMLU's 57
subjects, is one benchmark if its value in the results is the mean over all samples, or over the tasks' means. The tasks of a
group are fixed, not drawn: samples are the units, in the second case within their task.
"""

import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any, Final

import numpy as np

from harness_ext.common.errors import UserError
from harness_ext.metrics.units import pair_scores, pair_sums, values
from harness_ext.report.compare.measures import Measure
from harness_ext.runs.answers import Answers, Key
from harness_ext.runs.evaluations import Evaluation, leaves

_TOLERANCE: Final = 1e-6
_MME_FULL_MARKS: Final = 200
_MME_QUESTIONS: Final = 2
# lmms-eval marks the answers that a category's score is not about.
_LLAVA_NOT_ASKED: Final = -999
# It rounds the means to three decimals and their ratio, in percent, to one.
_LLAVA_TOLERANCE: Final = 0.16
_MEAN: Final = re.compile(r"mean|<function f?mean( .*)?>")
# The first run and the other one, each with a metric's values.
Runs = Sequence[tuple[Answers, Mapping[Key, Any]]]


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
    pairs: Mapping[str, tuple[Answers, Answers]], metrics: Mapping[str, str]
) -> tuple[list[Measure], list[str]]:
    """The measures of all tasks that hold no judged answers, and notes on what is left out.

    Args:
        pairs: Each task's answers of both runs, to the same questions.
        metrics: The metric to compare by task, instead of the first of the task's own list.

    Raises:
        UserError: Nothing of a task can be compared, a metric is missing, or its samples are not those of the results file.
    """
    measures: list[Measure] = []
    notes: list[str] = []
    alone: dict[str, Scores] = {}
    for task, (first, other) in pairs.items():
        found, left_out = _of_task(first, other, metrics.get(task))
        notes += left_out
        if len(found) == 1 and isinstance(found[0], Scores):
            alone[task] = found[0]
        else:
            measures += [each if isinstance(each, Measure) else _measure(task, [each]) for each in found]
    of_groups, of_parts = _grouped(alone, pairs)
    return measures + of_groups, notes + of_parts


def _of_task(first: Answers, other: Answers, metric: str | None) -> tuple[list[Scores | Measure], list[str]]:
    """The first metric of the task's own list, and of the others those about questions that no metric before them is about.

    MME's two scores are such. With ``metric``, only this one. The second result says what is left out.
    """
    listed, filters = _metric_list(first), list(first.scores)
    labels = {(name, of): name if filters == ["none"] else f"{name},{of}" for of in filters for name in listed}
    if metric is not None:
        name, _, wanted = metric.partition(",")
        asked = {key: label for key, label in labels.items() if key[0] == name and wanted in ("", key[1])}
        if not asked:
            known = ", ".join(labels.values()) or "none"
            raise UserError(f"{first.path}: no metric {metric!r} of {first.task}; it has {known}")
        labels = asked
    found: list[Scores | Measure] = []
    reasons: list[str] = []
    covered: set[Key] = set()
    for (name, filter_name), label in labels.items():
        about = {key for key, metrics in first.scores[filter_name].items() if name in metrics}
        if covered & about:
            reasons.append(f"{label} (--metric {first.task}={label} compares it instead)")
        elif about:
            try:
                found.append(_one((first, other), name, filter_name, listed[name]))
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
    for is_of, measure in ((_is_mme, _mme), (_is_llava_bench, _llava_bench)):
        if all(map(is_of, found)):
            return measure(runs, metric, filter_name)
    higher = entry.get("higher_is_better")
    if not isinstance(higher, bool):
        raise NotComparable("the task does not say whether more of it is better")
    if not all(isinstance(value, int | float) for value in found):
        raise NotComparable("the samples hold no number for it")
    if not all(0 <= value <= 1 for value in found):
        raise NotComparable("its scores are not between 0 and 1, and a margin, which is a share, says nothing about it")
    means = [sum(scores.values()) / len(scores) for scores in of_run]
    for answers, mean in zip(both, means, strict=True):
        value = _reported(answers, metric, filter_name)
        if abs(mean - value) > _TOLERANCE and not _MEAN.fullmatch(str(entry.get("aggregation"))):
            raise NotComparable(f"it is not the mean of its samples' scores ({mean:.6g} against {value:.6g})")
    _check_reported(runs, metric, filter_name, means)
    before, after = ({key: float(value) for key, value in scores.items()} for scores in of_run)
    return Scores(first.task, metric, filter_name, higher, before, after)


def _check_reported(
    runs: Runs, metric: str, filter_name: str, found: Sequence[float], tolerance: float | None = None
) -> None:
    """Raise ``UserError`` where a value computed from the samples is not the one in the results file."""
    for (answers, _), value in zip(runs, found, strict=True):
        said = _reported(answers, metric, filter_name)
        if abs(value - said) > (tolerance or _TOLERANCE * max(1.0, abs(said))):
            raise UserError(
                f"{answers.path}: {metric} of the samples is {value:.6g}, {answers.evaluation.path.name} says {said:.6g}: "
                "they are not of one run. Evaluate again into an empty folder."
            )


def _reported(answers: Answers, metric: str, filter_name: str) -> float:
    """The value in the results file. Raises ``UserError`` if there is none."""
    results = answers.evaluation.content.get("results", {}).get(answers.task, {})
    named = [key for key in results if key.partition(",")[0] == metric]
    key = exact = f"{metric},{filter_name}"
    if exact not in results and len(named) == 1 and answers.evaluation.harness == "lmms-eval":
        key = named[0]
    value = results.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(
            f"{answers.evaluation.path}: expected a value of {exact} of {answers.task}, found {value!r}. Was the run cut off "
            "while scoring? Evaluate again, or leave the task out with --task."
        )
    return float(value)


def _metric_list(answers: Answers) -> dict[str, Mapping[str, Any]]:
    """The task's metrics, in its order."""
    content = answers.evaluation.content
    listed = content["configs"].get(answers.task, {}).get("metric_list") or []
    higher = content.get("higher_is_better", {}).get(answers.task, {})
    found: dict[str, Mapping[str, Any]] = {
        str(entry["metric"]): {"higher_is_better": higher.get(entry["metric"]), **entry} for entry in listed
    }
    return found or {name: {"higher_is_better": value} for name, value in higher.items()}


# --- two scores that are not means ------------------------------------------------------------------------------------


def _is_mme(value: Any) -> bool:
    """Whether this is what lmms-eval writes for an answer to MME."""
    return (
        isinstance(value, Mapping) and value.keys() == {"question_id", "category", "score"} and value["score"] in (0, 1)
    )


def _mme(runs: Runs, metric: str, filter_name: str) -> Measure:
    """One of the two scores of MME, as the share of full marks.

    An image is worth its accuracy plus, if both its answers are right, as much again; a category is the mean of its images,
    in percent, so at most 200; the score is the sum over categories (Fu and others, arXiv 2306.13394). Images, which are
    what is independent, are weighted within their categories.
    """
    (first, before), (_, after) = runs
    image_of = {key: (value["category"], value["question_id"]) for key, value in before.items()}
    if odd := [image for image, count in Counter(image_of.values()).items() if count != _MME_QUESTIONS]:
        raise UserError(
            f"{first.path}: expected {_MME_QUESTIONS} questions about image {odd[0][1]}, of which {metric} is made, found "
            "another number. Evaluate without --limit."
        )
    images = list(dict.fromkeys(image_of.values()))
    marks = []
    for scores in (before, after):
        right = Counter(image_of[key] for key, value in scores.items() if value["score"])
        marks.append([(right[image] / _MME_QUESTIONS + (right[image] == _MME_QUESTIONS)) / 2 for image in images])
    paired = pair_scores(images, marks[0], marks[1], [category for category, _ in images])
    full_marks = _MME_FULL_MARKS * len(paired.weights)
    _check_reported(runs, metric, filter_name, [share * full_marks for share in values(paired)])
    both = [value["score"] == 1 for value in before.values()], [after[key]["score"] == 1 for key in before]
    title = f"{first.task} ({metric}, share of full marks)"
    return Measure("benchmark", first.task, title, metric, True, "image", len(before), paired, both)


def _is_llava_bench(value: Any) -> bool:
    """Whether this is what lmms-eval writes for a judged answer."""
    return isinstance(value, Mapping) and {"scores", "eval_model"} <= value.keys() and len(value["scores"]) == 2


def _llava_bench(runs: Runs, metric: str, filter_name: str) -> Measure:
    """LLaVA-Bench's score: what a judge gives the model's answers, over what it gives the reference answers beside them.

    It is a ratio of two means (Liu and others, arXiv 2304.08485), both the judge's, so both differ between runs.
    """
    (first, before), (other, _) = runs
    keys = [key for key, value in before.items() if _LLAVA_NOT_ASKED not in value["scores"]]
    for answers, judged in runs:
        if failed := [key for key in keys if min(judged[key]["scores"]) < 0]:
            raise UserError(
                f"{answers.path}: {len(failed)} requests to the judge failed, the first one about document {failed[0][0]}. "
                "Evaluate again, or leave the task out with --task."
            )
    judges = [", ".join(sorted({str(judged[key]["eval_model"]) for key in keys})) for _, judged in runs]
    if judges[0] != judges[1]:
        raise UserError(
            f"{other.path} cannot be compared with {first.path}: judged by {judges[1]}, the first run by {judges[0]}. "
            "Evaluate both with one judge, or leave the task out with --task."
        )
    # The judge's two scores are the reference answer's, then the model's.
    paired = pair_sums(*(np.array([judged[key]["scores"][::-1] for key in keys], dtype=float) for _, judged in runs))
    _check_reported(runs, metric, filter_name, [100 * ratio for ratio in values(paired)], _LLAVA_TOLERANCE)
    title = f"{first.task} ({metric}, ratio to the reference answers)"
    return Measure("benchmark", first.task, title, metric, True, "sample", len(keys), paired)


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
        ways &= {way for way, mean in ((False, pooled), (True, of_means)) if abs(mean - value) <= _TOLERANCE}
    return min(ways, default=None)
