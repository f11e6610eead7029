"""Groups of tasks, such as MMLU's 57 subjects, as one benchmark where the harness reports one value of them.

The value must be the mean over all samples, or the mean over tasks of their means; a group of any other is compared task by
task. Tasks of a group are fixed, not drawn: samples are resampled, in the second case within their task.
"""

from collections.abc import Mapping
from math import fsum
from typing import Literal

from harness_ext.report.compare.evaluations import Evaluation, leaves
from harness_ext.report.compare.measures import Measure
from harness_ext.report.compare.plain import TOLERANCE, Scores, score_measure


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
        if abs(pooled - value) <= TOLERANCE:
            way.add("samples")
        if abs(by_task - value) <= TOLERANCE:
            way.add("by task")
        ways.append(way)
    both = ways[0] & ways[1]
    return "samples" if "samples" in both else "by task" if both else None
