"""Ratings as measures: how sound and how informative the answers are, where one rater has rated both runs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from harness_ext.benchmark.probes import OF_RECORD
from harness_ext.metrics.quality import HIGHEST, LOWEST
from harness_ext.metrics.units import pair_scores
from harness_ext.report.compare.measures import Measure
from harness_ext.report.quality import title_of
from harness_ext.runs.answers import Answers
from harness_ext.runs.ratings import CRITERIA, read_ratings

# The largest change of a rating. Ratings are paired in units of it, for an interval takes a score to change by 1 at most.
_SPAN: Final = HIGHEST - LOWEST


def rated_measures(pairs: Mapping[str, tuple[Answers, Answers]]) -> tuple[list[Measure], list[str]]:
    """The measures of every rater who rated answers of both runs by the same rubric, and what is left out.

    Args:
        pairs: Each task's answers of both runs, to the same questions.
    """
    found, notes = [], []
    for task, both in pairs.items():
        first, other = (
            {(each.head.rater, each.head.rubric_sha256): each.of for each in read_ratings(answers.path)}
            for answers in both
        )
        for rater in sorted(first.keys() | other.keys()):
            before, after = first.get(rater, {}), other.get(rater, {})
            common = [key for key in before if key in after]
            if left_out := len(before) + len(after) - 2 * len(common):
                notes.append(
                    f"{task}: {left_out} ratings by {rater[0]} are left out, of answers that only one run has rated."
                )
            for at, criterion in enumerate(CRITERIA if common else ()):
                scores = [[of[key][at] / _SPAN for key in common] for of in (before, after)]
                paired = replace(pair_scores([key[1:3] for key in common], *scores), weights=np.array([float(_SPAN)]))
                title = f"{title_of(task)}, {criterion} from 1 to 5, by {rater[0]}"
                unit = OF_RECORD[common[0][0]].unit
                size = unit, len(common)
                found.append(Measure("rated", task, title, criterion, True, *size, paired, margin=None))
    return found, notes
