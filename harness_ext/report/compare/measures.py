"""A comparison as plain data, and the statistics of one measure of two runs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal

from harness_ext.common.files import without_nan
from harness_ext.metrics.intervals import CONFIDENCE, POWER, RESAMPLES, change_interval, smallest_difference
from harness_ext.metrics.paired_tests import holm, mcnemar, retention, swap_test
from harness_ext.metrics.units import Paired, values
from harness_ext.records import Retention

_ALPHA: Final = 1 - CONFIDENCE
# The interval and the standing numbers agree to rounding: a tie with the margin must not hang on a last bit.
_DIGITS: Final = 12

Kind = Literal["judged", "gap", "benchmark", "rated", "policy"]
Difference = Literal["better", "worse", "not shown"]


@dataclass(frozen=True)
class Measured:
    """What is measured of two runs.

    Attributes:
        kind: ``"judged"``, a share of this project's probes; ``"gap"``, a modality gap; ``"benchmark"``, another benchmark;
            ``"rated"``, a mean rating from 1 to 5; ``"policy"``, a share over the concepts that two
            policies label differently.
        benchmark: The task, or the group of tasks.
        unit: What is resampled and swapped: ``"concept"``, ``"image"``, ``"sample"``.
        n_samples: How many answers of each run.
    """

    kind: Kind
    benchmark: str
    title: str
    metric: str
    higher_is_better: bool
    unit: str
    n_samples: int


@dataclass(frozen=True)
class Measure(Measured):
    """What two runs scored, paired.

    Attributes:
        paired: The sums of both runs by unit.
        right: Whether each answer is right before, and after, where answers are right or wrong.
    """

    paired: Paired
    right: tuple[Sequence[bool], Sequence[bool]] | None = None


@dataclass(frozen=True)
class Row(Measured):
    """One measure of the first run and of another one.

    Attributes:
        n_units: How many units the answers are of.
        before: The first run's value; shares are between 0 and 1.
        change: After minus before.
        low: Lower end of the change's 95 % interval; ``None`` for fewer than two units.
        gained: Answers that are right after and were wrong before; ``None`` where answers are not right or wrong.
        lost: Answers that were right before and are wrong after.
        mcnemar_p: McNemar's exact p of these two numbers, which takes every answer for independent.
        p: The p-value of the change by swapping whole units between the runs.
        p_from: How ``p`` was computed: ``"counted"`` and ``"all swaps"`` are exact, ``"random swaps"`` are 9,999.
        p_holm: ``p``, corrected for all rows of this pair of runs.
        difference: Whether there is one: ``p_holm`` below 5 %, and its direction.
        retention: The verdict against the margin; ``None`` for a gap, which text that was lost closes too, and for a
            rating, which is no share, and of two policies, whose right answers are not the same.
        smallest_difference: The smallest true change that would have been shown with a power of 80 %.
    """

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
    """One run: the folder that was given, the model's name with its arguments, and what is known of the model."""

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
    """One run against others; ``source`` is ``None`` where the runs hold no answers of this project's tasks."""

    first: Model
    pairs: tuple[Pair, ...]
    margin: float
    source: str | None
    seed: int

    def to_json(self) -> dict[str, Any]:
        """As plain values, with what all intervals rest on; nan, which JSON has not, becomes ``None``."""
        values = asdict(self)
        seed = values.pop("seed")
        rest = {"confidence": CONFIDENCE, "power": POWER, "resamples": RESAMPLES, "seed": seed}
        plain: dict[str, Any] = without_nan(values | rest)
        return plain


def rows(measures: Sequence[Measure], margin: float, seed: int) -> tuple[Row, ...]:
    """The statistics of every measure, corrected for their number."""
    tests = [swap_test(measure.paired, seed) for measure in measures]
    corrected = holm([p for p, _ in tests])
    return tuple(
        _row(measure, *test, p_holm, margin, seed)
        for measure, test, p_holm in zip(measures, tests, corrected, strict=True)
    )


def _row(measure: Measure, p: float, p_from: str, p_holm: float, margin: float, seed: int) -> Row:
    before, after = values(measure.paired)
    change = round(after - before, _DIGITS)
    interval = change_interval(measure.paired, RESAMPLES, seed)
    low, high = (round(interval[0], _DIGITS), round(interval[1], _DIGITS)) if interval else (None, None)
    gained = lost = mcnemar_p = None
    if measure.right is not None:
        pairs = list(zip(*measure.right, strict=True))
        gained, lost = pairs.count((False, True)), pairs.count((True, False))
        mcnemar_p = mcnemar(gained, lost)
    difference: Difference = "not shown"
    if p_holm < _ALPHA and change != 0:
        difference = "better" if (change > 0) == measure.higher_is_better else "worse"
    return Row(
        **{field.name: getattr(measure, field.name) for field in fields(Measured)},
        n_units=measure.paired.units,
        before=before,
        after=after,
        change=change,
        low=low,
        high=high,
        gained=gained,
        lost=lost,
        mcnemar_p=mcnemar_p,
        p=p,
        p_from=p_from,
        p_holm=p_holm,
        difference=difference,
        retention=None
        if measure.kind in ("gap", "rated", "policy")
        else retention(low, high, margin, measure.higher_is_better),
        smallest_difference=smallest_difference(interval),
    )
