"""A comparison as plain data, and the statistics of one measure of two runs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal

from harness_ext.common.files import without_nan
from harness_ext.metrics.intervals import CONFIDENCE, DRAWS, POWER, change_interval, smallest_difference
from harness_ext.metrics.paired_tests import holm, mcnemar, retention, swap_test
from harness_ext.metrics.units import Paired, values
from harness_ext.records import Retention

# The losses that are accepted where no other margin is given: small enough to matter, and above what 75 concepts, the
# benchmark's, leave open where no answer changes. Text has five answers about a concept, images a hundred.
MARGIN: Final = 0.03
TEXT_MARGIN: Final = 0.05
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
        unit: What is weighted and swapped: ``"concept"``, ``"image"``, ``"sample"``.
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
        margin: The loss that is accepted where no other one is given; ``None`` where no margin applies: to a gap, which text
            that was lost closes too, and to a rating, which is no share.
        derived_from: The titles of other measures of the same comparison that say the same: of those of which this one is
            the mirror, the sum or the difference.
        answers: How many answers a unit has on average; of a gap, on its side of fewer. ``None``: those of ``n_samples``.
    """

    paired: Paired
    right: tuple[Sequence[bool], Sequence[bool]] | None = None
    margin: float | None = MARGIN
    derived_from: tuple[str, ...] = ()
    answers: float | None = None


@dataclass(frozen=True)
class Row(Measured):
    """One measure of the first run and of another one.

    Attributes:
        n_units: How many units the answers are of.
        before: The first run's value; shares are between 0 and 1.
        change: After minus before.
        low: Lower end of the change's 95 % interval; ``None`` for fewer than five units, or for a task or a
            category of a single one, where each weighs alike.
        gained: Answers that are right after and were wrong before; ``None`` where answers are not right or wrong.
        lost: Answers that were right before and are wrong after.
        mcnemar_p: McNemar's exact p of these two numbers, which takes every answer for independent.
        p: The p-value of the change by swapping whole units between the runs.
        p_from: How ``p`` was computed: ``"counted"`` and ``"all swaps"`` are exact, ``"random swaps"`` are 9,999.
        p_holm: ``p``, corrected for all rows of this pair of runs that are not derived from others. Of a derived one the
            larger of its own ``p`` and the least ``p_holm`` of those that it is derived from.
        difference: Whether there is one, and its direction: ``p_holm`` is below 5 %, and the interval leaves out 0.
        margin: The loss that is accepted; ``None`` where none applies.
        retention: The verdict against the margin; ``None`` where none applies.
        smallest_difference: The smallest margin against which a model that did not change would be called retained in 80 %
            of evaluations.
        derived_from: The titles of the rows that this one is derived from, by ``"; "``; empty for most.
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
    margin: float | None
    retention: Retention | None
    smallest_difference: float | None
    derived_from: str


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
    """One run against others.

    Attributes:
        margin: The one that was given for all rows; ``None`` where each has its own default.
        source: ``None`` where the runs hold no answers of this project's tasks.
    """

    first: Model
    pairs: tuple[Pair, ...]
    margin: float | None
    source: str | None
    seed: int

    def to_json(self) -> dict[str, Any]:
        """As plain values, with what all intervals rest on; nan, which JSON has not, becomes ``None``."""
        values = asdict(self)
        seed = values.pop("seed")
        rest = {"confidence": CONFIDENCE, "power": POWER, "draws": DRAWS, "seed": seed}
        plain: dict[str, Any] = without_nan(values | rest)
        return plain


def rows(measures: Sequence[Measure], margin: float | None, seed: int) -> tuple[Row, ...]:
    """The statistics of every measure, corrected for the number of those that are not derived from others.

    Args:
        measures: Each with its own default margin.
        margin: Instead of all defaults.
        seed: Of draws and swaps.
    """
    tests = [swap_test(measure.paired, seed) for measure in measures]
    family = [at for at, measure in enumerate(measures) if not measure.derived_from]
    corrected = dict(zip(family, holm([tests[at][0] for at in family]), strict=True))
    of_title = {measures[at].title: p for at, p in corrected.items()}
    for at, measure in enumerate(measures):
        if measure.derived_from:
            corrected[at] = max(tests[at][0], min(of_title[title] for title in measure.derived_from))
    return tuple(_row(measure, *tests[at], corrected[at], margin, seed) for at, measure in enumerate(measures))


def _row(measure: Measure, p: float, p_from: str, p_holm: float, margin: float | None, seed: int) -> Row:
    before, after = values(measure.paired)
    change = round(after - before, _DIGITS)
    answers = measure.n_samples / measure.paired.units if measure.answers is None else measure.answers
    interval = change_interval(measure.paired, answers, seed=seed)
    low, high = (round(interval[0], _DIGITS), round(interval[1], _DIGITS)) if interval else (None, None)
    gained = lost = mcnemar_p = None
    if measure.right is not None:
        pairs = list(zip(*measure.right, strict=True))
        gained, lost = pairs.count((False, True)), pairs.count((True, False))
        mcnemar_p = mcnemar(gained, lost)
    difference: Difference = "not shown"
    if p_holm < _ALPHA and low is not None and high is not None and not low <= 0 <= high:
        difference = "better" if (change > 0) == measure.higher_is_better else "worse"
    accepted = None if measure.margin is None else measure.margin if margin is None else margin
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
        margin=accepted,
        retention=None if accepted is None else retention(low, high, accepted, measure.higher_is_better),
        smallest_difference=smallest_difference(interval),
        derived_from="; ".join(measure.derived_from),
    )
