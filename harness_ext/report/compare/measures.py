"""A comparison as plain data, and the statistics of one measure of two runs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

from harness_ext.common.files import without_nan
from harness_ext.metrics.intervals import CONFIDENCE, RESAMPLES, change_interval, smallest_difference
from harness_ext.metrics.paired_tests import holm, mcnemar, retention, swap_test
from harness_ext.metrics.units import Paired, values
from harness_ext.records import Retention

_ALPHA: Final = 1 - CONFIDENCE
# The interval and the standing numbers agree to rounding: a tie with the margin must not hang on a last bit.
_DIGITS: Final = 12

Kind = Literal["judged", "gap", "benchmark", "rated"]
Difference = Literal["better", "worse", "not shown"]


@dataclass(frozen=True)
class Row:
    """One measure of the first run and of another one.

    Attributes:
        kind: ``"judged"``, a share of this project's probes; ``"gap"``, a modality gap; ``"benchmark"``, another benchmark;
            ``"rated"``, a mean rating from 1 to 5.
        benchmark: The task, or the group of tasks.
        title: What is measured, in words.
        metric: The metric's name.
        higher_is_better: Which direction is a gain.
        unit: What is resampled and swapped: ``"concept"``, ``"image"``, ``"sample"``.
        n_samples: How many answers of each run.
        n_units: How many units they are of.
        before: The first run's value; shares are between 0 and 1.
        after: The other run's.
        change: After minus before.
        low: Lower end of the change's 95 % interval; ``None`` for fewer than two units.
        high: Upper end.
        gained: Answers that are right after and were wrong before; ``None`` where answers are not right or wrong.
        lost: Answers that were right before and are wrong after.
        mcnemar_p: McNemar's exact p of these two numbers, which takes every answer for independent.
        p: The p-value of the change by swapping whole units between the runs.
        p_from: How ``p`` was computed: ``"counted"`` and ``"all swaps"`` are exact, ``"random swaps"`` are 9,999.
        p_holm: ``p``, corrected for all rows of this pair of runs.
        difference: Whether there is one: ``p_holm`` below 5 %, and its direction.
        retention: The verdict against the margin; ``None`` for a gap, which text that was lost closes too, and for a
            rating, which is no share.
        smallest_difference: The smallest true change that would have been shown with a power of 80 %.
    """

    kind: Kind
    benchmark: str
    title: str
    metric: str
    higher_is_better: bool
    unit: str
    n_samples: int
    n_units: int
    before: float
    after: float
    change: float
    low: float | None
    high: float | None
    gained: int | None
    lost: int | None
    mcnemar_p: float | None
    p: float
    p_from: str
    p_holm: float
    difference: Difference
    retention: Retention | None
    smallest_difference: float | None


@dataclass(frozen=True)
class Model:
    """One run.

    Attributes:
        folder: The folder that was given.
        name: The model's name, with its arguments.
        files: The results files that were read.
        settings: What is known of the model and of its decoding.
    """

    folder: str
    name: str
    files: tuple[str, ...]
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Pair:
    """The first run, and another one held against it."""

    model: Model
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """One run against others.

    Attributes:
        first: The run that all others are held against.
        pairs: The others, in the order given.
        margin: The loss that counts as acceptable.
        source: ``"unsafeconcepts"`` or ``"glyphworld"``, which is a stand-in; ``None`` where neither was asked.
        confidence: Of the intervals.
        power: Of ``smallest_difference``.
        resamples: How many resamples an interval rests on.
        seed: Of resampling and swapping.
    """

    first: Model
    pairs: tuple[Pair, ...]
    margin: float
    source: str | None
    confidence: float
    power: float
    resamples: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """As plain values; nan, which JSON has not, becomes ``None``."""
        values: dict[str, Any] = without_nan(asdict(self))
        return values


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
        retention=None if measure.kind in ("gap", "rated") else retention(low, high, margin, measure.higher_is_better),
        smallest_difference=smallest_difference(interval),
    )


def _difference(row: Row, p: float) -> Difference:
    if p >= _ALPHA or row.change == 0:
        return "not shown"
    return "better" if (row.change > 0) == row.higher_is_better else "worse"
