"""Other benchmarks as measures, from the metrics that the harness wrote beside every sample.

A metric is compared only where its value is known to be what the harness reports: the mean of the samples' scores, or one
of the two scores known here that are not means (``mme.py``, ``llava_bench.py``). Each value is computed again from the
samples and must be the one in the results file.
"""

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness_ext.common.errors import UserError
from harness_ext.metrics.units import pair_scores
from harness_ext.report.compare.answers import Answers, Key
from harness_ext.report.compare.llava_bench import is_llava_bench, llava_bench_measure
from harness_ext.report.compare.measures import Measure
from harness_ext.report.compare.mme import is_mme, mme_measure

TOLERANCE: Final = 1e-6
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
    values = answers.evaluation.content.get("results", {}).get(answers.task, {})
    named = [key for key in values if key.partition(",")[0] == metric]
    exact = f"{metric},{filter_name}"
    key = (
        exact
        if exact in values
        else named[0]
        if len(named) == 1 and answers.evaluation.harness == "lmms-eval"
        else None
    )
    value = values.get(key) if key else None
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
    if all(is_mme(value) for value in both):
        values = (reported(first, metric, filter_name), reported(other, metric, filter_name))
        return mme_measure(first, metric, runs[0], runs[1], values)
    if all(is_llava_bench(value) for value in both):
        values = (reported(first, metric, filter_name), reported(other, metric, filter_name))
        return llava_bench_measure(first, other, metric, runs[0], runs[1], values)
    higher = entry.get("higher_is_better")
    if not isinstance(higher, bool):
        raise NotComparable("the task does not say whether more of it is better")
    if not all(isinstance(value, int | float) for value in both):
        raise NotComparable("the samples hold no number for it")
    if not all(0 <= value <= 1 for value in both):
        raise NotComparable(
            "its scores are not between 0 and 1, so that a margin, which is a share, says nothing of it"
        )
    scores = [{key: float(value) for key, value in values.items()} for values in runs]
    for answers, of_run in zip((first, other), scores, strict=True):
        mean, value = sum(of_run.values()) / len(of_run), reported(answers, metric, filter_name)
        if abs(mean - value) > TOLERANCE:
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
