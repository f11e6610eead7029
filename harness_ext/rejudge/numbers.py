"""The results of a task and of a group whose answers were judged again, as lmms-eval writes them.

What does not depend on the judge stays as the harness wrote it: names, and ``diversity``, which is of the responses.
"""

from collections.abc import Mapping, Sequence
from math import isnan
from statistics import fmean
from typing import Any, Final

import numpy as np

from harness_ext.benchmark.taxonomy import CATEGORIES, slug
from harness_ext.common.errors import UserError
from harness_ext.metrics.harness import clustered_stderr, modality_gap, per_answer_metrics
from harness_ext.metrics.records import Judgement

Results = Mapping[str, Any]
# Of a task's results and of its sample rows.
_OF_THE_ANSWER: Final = ("alias", "samples", "judgement", "diversity")
_GAP_METRICS: Final = ("acc_unsafe", *(f"acc_{slug(category)}" for category in CATEGORIES))
# How lmms-eval marks a group that aggregates nothing.
_NO_AGGREGATION: Final = " "


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
    if tuple(probes) != ("image", "text"):
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
