"""One measure of two runs, before any statistics, and what the statistics make of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness_ext.metrics.intervals import CONFIDENCE, RESAMPLES, change_interval, smallest_difference
from harness_ext.metrics.paired_tests import holm, mcnemar, retention, swap_test
from harness_ext.metrics.units import Paired, values
from harness_ext.report.compare.comparison import Difference, Kind, Row

_ALPHA: Final = 1 - CONFIDENCE
# The interval and the standing numbers agree to rounding: a tie with the margin must not hang on a last bit.
_DIGITS: Final = 12


@dataclass(frozen=True)
class Measure:
    """What two runs scored, paired.

    Attributes:
        kind: As in ``Row``, like all others that have the same name there.
        paired: The sums of both runs by unit.
        right: Whether each answer is right before, and after, where answers are right or wrong.
    """

    kind: Kind
    benchmark: str
    title: str
    metric: str
    higher_is_better: bool
    unit: str
    n_samples: int
    paired: Paired
    right: tuple[Sequence[bool], Sequence[bool]] | None


def rows(measures: Sequence[Measure], margin: float, seed: int) -> tuple[Row, ...]:
    """The statistics of every measure, corrected for their number."""
    found = [_row(measure, margin, seed) for measure in measures]
    corrected = holm([row.p for row in found])
    return tuple(
        replace(row, p_holm=p, difference=_difference(row, p)) for row, p in zip(found, corrected, strict=True)
    )


def _row(measure: Measure, margin: float, seed: int) -> Row:
    before, after = values(measure.paired)
    interval = change_interval(measure.paired, RESAMPLES, seed)
    low, high = (round(interval[0], _DIGITS), round(interval[1], _DIGITS)) if interval else (None, None)
    gained = lost = None
    if measure.right is not None:
        pairs = list(zip(*measure.right, strict=True))
        gained, lost = (pairs.count((False, True)), pairs.count((True, False)))
    p, p_from = swap_test(measure.paired, seed)
    return Row(
        kind=measure.kind,
        benchmark=measure.benchmark,
        title=measure.title,
        metric=measure.metric,
        higher_is_better=measure.higher_is_better,
        unit=measure.unit,
        n_samples=measure.n_samples,
        n_units=measure.paired.units,
        before=before,
        after=after,
        change=round(after - before, _DIGITS),
        low=low,
        high=high,
        gained=gained,
        lost=lost,
        mcnemar_p=None if gained is None or lost is None else mcnemar(gained, lost),
        p=p,
        p_from=p_from,
        p_holm=p,
        difference="not shown",
        retention=None if measure.kind == "gap" else retention(low, high, margin, measure.higher_is_better),
        smallest_difference=smallest_difference(interval),
    )


def _difference(row: Row, p: float) -> Difference:
    if p >= _ALPHA or row.change == 0:
        return "not shown"
    return "better" if (row.change > 0) == row.higher_is_better else "worse"
