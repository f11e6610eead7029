"""Other benchmarks as measures, from the metrics that the harness wrote beside every sample.

A metric is compared only where its value is known to be what the harness reports: the mean of the samples' scores, or one
of the two scores known here that are not means (MME's and LLaVA-Bench's). Each value is computed again from the samples and
must be the one in the results file. A group of tasks, such as MMLU's 57 subjects, is one benchmark if the harness reports
one value of it that is the mean over all samples, or the mean over tasks of their means. Tasks of a group are fixed, not
drawn: samples are resampled, in the second case within their task.
"""

import re
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from math import fsum
from typing import Any, Final, Literal

import numpy as np

from harness_ext.common.errors import UserError
from harness_ext.metrics.units import Paired, pair_scores, values
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


class NotComparable(Exception):
    """Why a metric of a task is left out; another one may do."""


@dataclass(frozen=True)
class Scores:
    """A metric that is the mean of its samples' scores, in both runs.

    Attributes:
        task: Whose metric it is.
        metric: Its name.
        filter: lm-eval's name of how answers were filtered before they were scored.
        higher_is_better: Which direction is a gain.
        before: The first run's score of each question, 0 to 1.
        after: The other run's.
    """

    task: str
    metric: str
    filter: str
    higher_is_better: bool
    before: Mapping[Key, float]
    after: Mapping[Key, float]


def plain_scores(first: Answers, other: Answers, metric: str | None) -> tuple[list[Scores | Measure], list[str]]:
    """What can be compared of one task.

    The first metric of the task's own list is taken, and of the others those about questions that no metric before them is
    about, as MME's two scores are.

    Args:
        first: The first run's answers.
        other: The other run's, to the same questions.
        metric: Only this one.

    Returns:
        The metrics, and what is left out.

    Raises:
        UserError: Nothing can be compared, a metric is missing, or its samples are not those of the results file.
    """
    listed = _metric_list(first)
    names, filters = list(listed), list(first.scores)
    if metric is not None:
        name, _, wanted_filter = metric.partition(",")
        if name not in names or (wanted_filter and wanted_filter not in filters):
            known = ", ".join(each if filters == ["none"] else f"{each},{of}" for each in names for of in filters)
            raise UserError(f"{first.path}: no metric {metric!r} of {first.task}; it has {known or 'none'}")
        names, filters = [name], [wanted_filter] if wanted_filter else filters
    found: list[Scores | Measure] = []
    reasons: list[str] = []
    covered: set[Key] = set()
    for filter_name in filters:
        for name in names:
            about = {key for key, metrics in first.scores[filter_name].items() if name in metrics}
            label = name if filters == ["none"] else f"{name},{filter_name}"
            if covered & about:
                reasons.append(f"{label} (--metric {first.task}={label} compares it instead)")
                continue
            if not about:
                continue
            try:
                found.append(_one(first, other, name, filter_name, listed[name]))
                covered |= about
            except NotComparable as reason:
                reasons.append(f"{label}: {reason}")
    if not found:
        raise UserError(
            f"{first.path}: no metric of {first.task} can be compared ({'; '.join(reasons) or 'its samples hold none'}). "
            "Leave the task out with --task."
        )
    return found, [f"{first.task}, not compared: {reason}." for reason in reasons]


def score_measure(benchmark: str, parts: list[Scores], strata: bool = False) -> Measure:
    """The mean over the samples of one or several tasks; with ``strata``, the mean over the tasks of their means."""
    keys: list[tuple[Hashable, ...]] = [(part.task, *key) for part in parts for key in part.before]
    before = [score for part in parts for score in part.before.values()]
    after = [part.after[key] for part in parts for key in part.before]
    paired = pair_scores(keys, before, after, [key[0] for key in keys] if strata else None)
    right = None
    if set(before) | set(after) <= {0.0, 1.0}:
        better = 1.0 if parts[0].higher_is_better else 0.0
        right = [score == better for score in before], [score == better for score in after]
    one = parts[0]
    title = f"{benchmark} ({one.metric}{'' if one.filter == 'none' else f', {one.filter}'})"
    return Measure("benchmark", benchmark, title, one.metric, one.higher_is_better, "sample", len(keys), paired, right)


def reported(answers: Answers, metric: str, filter_name: str) -> float:
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


def _one(first: Answers, other: Answers, metric: str, filter_name: str, entry: Mapping[str, Any]) -> Scores | Measure:
    runs = [_values(answers, metric, filter_name) for answers in (first, other)]
    if runs[0].keys() != runs[1].keys():
        raise UserError(f"{other.path}: {metric} is of other questions than in {first.path}. Evaluate both alike.")
    both = [*runs[0].values(), *runs[1].values()]
    if all(_is_mme(value) for value in both):
        said = (reported(first, metric, filter_name), reported(other, metric, filter_name))
        return _mme(first, metric, runs[0], runs[1], said)
    if all(_is_llava_bench(value) for value in both):
        said = (reported(first, metric, filter_name), reported(other, metric, filter_name))
        return _llava_bench(first, other, metric, runs[0], runs[1], said)
    higher = entry.get("higher_is_better")
    if not isinstance(higher, bool):
        raise NotComparable("the task does not say whether more of it is better")
    if not all(isinstance(value, int | float) for value in both):
        raise NotComparable("the samples hold no number for it")
    if not all(0 <= value <= 1 for value in both):
        raise NotComparable(
            "its scores are not between 0 and 1, so that a margin, which is a share, says nothing of it"
        )
    scores = [{key: float(value) for key, value in run.items()} for run in runs]
    for answers, of_run in zip((first, other), scores, strict=True):
        mean, value = sum(of_run.values()) / len(of_run), reported(answers, metric, filter_name)
        if abs(mean - value) > _TOLERANCE:
            if not _MEAN.fullmatch(str(entry.get("aggregation"))):
                raise NotComparable(f"it is not the mean of its samples' scores ({mean:.6g} against {value:.6g})")
            raise UserError(
                f"{answers.path}: the mean of {metric} is {mean:.6g}, {answers.evaluation.path.name} says {value:.6g}: "
                "they are not of one run. Evaluate again into an empty folder."
            )
    return Scores(first.task, metric, filter_name, higher, scores[0], scores[1])


def _values(answers: Answers, metric: str, filter_name: str) -> dict[Key, Any]:
    return {key: metrics[metric] for key, metrics in answers.scores[filter_name].items() if metric in metrics}


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


def _mme(
    first: Answers,
    metric: str,
    before: Mapping[Key, Mapping[str, Any]],
    after: Mapping[Key, Mapping[str, Any]],
    reported: tuple[float, float],
) -> Measure:
    """One of the two scores of MME, as the share of full marks.

    An image is worth its accuracy plus, if both its answers are right, as much again; a category is the mean of its images,
    in percent, so at most 200; the score is the sum over categories (Fu and others, arXiv 2306.13394). Images, which are
    what is independent, are resampled within their categories.
    """
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
    for share, value in zip(values(paired), reported, strict=True):
        score = share * _MME_FULL_MARKS * len(paired.weights)
        if abs(score - value) > _TOLERANCE * max(1.0, abs(value)):
            raise UserError(
                f"{first.path}: {metric} of the samples is {score:.6g}, a results file says {value:.6g}: "
                "they are not of one run. Evaluate again into an empty folder."
            )
    both = [value["score"] == 1 for value in before.values()], [after[key]["score"] == 1 for key in before]
    title = f"{first.task} ({metric}, share of full marks)"
    return Measure("benchmark", first.task, title, metric, True, "image", len(before), paired, both)


def _is_llava_bench(value: Any) -> bool:
    """Whether this is what lmms-eval writes for a judged answer."""
    return isinstance(value, Mapping) and {"scores", "eval_model"} <= value.keys() and len(value["scores"]) == 2


def _llava_bench(
    first: Answers,
    other: Answers,
    metric: str,
    before: Mapping[Key, Mapping[str, Any]],
    after: Mapping[Key, Mapping[str, Any]],
    reported: tuple[float, float],
) -> Measure:
    """LLaVA-Bench's score: what a judge gives the model's answers, over what it gives the reference answers beside them.

    It is a ratio of two means (Liu and others, arXiv 2304.08485), both the judge's, so both differ between runs.
    """
    keys = [key for key, value in before.items() if _LLAVA_NOT_ASKED not in value["scores"]]
    for answers, judged in ((first, before), (other, after)):
        if failed := [key for key in keys if min(judged[key]["scores"]) < 0]:
            raise UserError(
                f"{answers.path}: {len(failed)} requests to the judge failed, the first one about document {failed[0][0]}. "
                "Evaluate again, or leave the task out with --task."
            )
    judges = [sorted({str(judged[key]["eval_model"]) for key in keys}) for judged in (before, after)]
    if judges[0] != judges[1]:
        raise UserError(
            f"{other.path} cannot be compared with {first.path}: judged by {', '.join(judges[1])}, the first run by "
            f"{', '.join(judges[0])}. Evaluate both with one judge, or leave the task out with --task."
        )
    # The judge's two scores are the reference answer's, then the model's.
    sums = [np.array([[judged[key]["scores"][::-1]] for key in keys], dtype=float) for judged in (before, after)]
    paired = Paired(sums[0], sums[1], np.ones(1), np.zeros(len(keys), dtype=np.int64))
    for ratio, value in zip(values(paired), reported, strict=True):
        if abs(100 * ratio - value) > _LLAVA_TOLERANCE:
            raise UserError(
                f"{first.path}: {metric} of the samples is {100 * ratio:.1f}, a results file says {value:.1f}: they are not "
                "of one run. Evaluate again into an empty folder."
            )
    title = f"{first.task} ({metric}, ratio to the reference answers)"
    return Measure("benchmark", first.task, title, metric, True, "sample", len(keys), paired, None)


# --- groups -----------------------------------------------------------------------------------------------------------


def grouped_measures(
    scores: Mapping[str, Scores], first: Mapping[str, Evaluation], other: Mapping[str, Evaluation]
) -> tuple[list[Measure], list[str]]:
    """One measure for each group, and for each task outside of them.

    Args:
        scores: The one metric of each task.
        first: The first run's evaluations by task.
        other: The other run's.
    """
    found: list[Measure] = []
    notes: list[str] = []
    done: set[str] = set()
    evaluations = {str(evaluation.path): evaluation for task, evaluation in first.items() if task in scores}
    for evaluation in evaluations.values():
        for group in _outermost_first(evaluation):
            tasks = leaves(evaluation, group)
            if done & set(tasks) or not set(tasks) <= scores.keys() or len(tasks) < 2:
                continue
            parts = [scores[task] for task in tasks]
            if (pooled := _pooling(group, parts, [evaluation, other[tasks[0]]])) is None:
                notes.append(f"{group}: its value is no mean of its tasks' samples; they are compared one by one.")
                continue
            found.append(score_measure(group, parts, strata=pooled == "by task"))
            done |= set(tasks)
    return found + [score_measure(task, [each]) for task, each in scores.items() if task not in done], notes


def _outermost_first(evaluation: Evaluation) -> list[str]:
    groups = [group for group in evaluation.content.get("groups", {}) if group in evaluation.content["group_subtasks"]]
    return sorted(groups, key=lambda group: -len(leaves(evaluation, group)))


def _pooling(group: str, parts: list[Scores], evaluations: list[Evaluation]) -> Literal["samples", "by task"] | None:
    """How the group's value is made of its tasks' scores, in both runs; ``None`` for another way, or without a value."""
    if len({(part.metric, part.filter, part.higher_is_better) for part in parts}) > 1:
        return None
    name = f"{parts[0].metric},{parts[0].filter}"
    ways: list[set[Literal["samples", "by task"]]] = []
    for evaluation, run in zip(evaluations, ("before", "after"), strict=True):
        value = evaluation.content.get("groups", {}).get(group, {}).get(name)
        if not isinstance(value, float | int):
            return None
        sums = [(fsum(getattr(part, run).values()), len(part.before)) for part in parts]
        pooled = fsum(total for total, _ in sums) / sum(count for _, count in sums)
        by_task = fsum(total / count for total, count in sums) / len(sums)
        way: set[Literal["samples", "by task"]] = set()
        if abs(pooled - value) <= _TOLERANCE:
            way.add("samples")
        if abs(by_task - value) <= _TOLERANCE:
            way.add("by task")
        ways.append(way)
    both = ways[0] & ways[1]
    return "samples" if "samples" in both else "by task" if both else None
