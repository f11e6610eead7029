"""The interval of a change: exact ones by closed forms, what one more lost answer does, simulated coverage, verdicts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest, norm

from harness_ext.metrics.intervals import change_interval, smallest_difference
from harness_ext.metrics.paired_tests import retention
from harness_ext.metrics.units import Paired, pair_scores, values

FEW = {"draws": 2000}


def concepts(rng: np.random.Generator, count: int, answers: int, change: float = 0.0) -> Paired:
    """Concepts that differ, in how hard they are and in what the second model makes of them."""
    before = rng.beta(2, 2, count)
    after = np.clip(before + change + rng.normal(0, 0.1, count), 0, 1)
    right = [rng.binomial(1, np.repeat(chance, answers)) for chance in (before, after)]
    return pair_scores(list(np.repeat(np.arange(count), answers)), list(right[0]), list(right[1]))


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_swapping_the_runs_mirrors_the_interval(seed: int) -> None:
    paired = concepts(np.random.default_rng(seed), 12, 3)
    low, high = change_interval(paired, **FEW)  # type: ignore[misc]
    mirrored = change_interval(Paired(paired.after, paired.before, paired.weights, paired.strata), **FEW)
    assert mirrored == pytest.approx((-high, -low), abs=0.02)
    change = values(paired)[1] - values(paired)[0]
    assert low - 1e-9 <= change <= high + 1e-9


def test_fewer_than_five_units_have_no_interval() -> None:
    assert change_interval(pair_scores(list("aabcd"), [0, 1, 1, 1, 1], [1] * 5)) is None
    assert change_interval(pair_scores(range(6), [1] * 6, [1] * 6, list("aaaaab"))) is None


@pytest.mark.parametrize(("count", "answers", "change"), [(75, 5, -0.05), (10, 20, 0.0), (300, 1, 0.02)])
def test_coverage(count: int, answers: int, change: float) -> None:
    rng = np.random.default_rng(7)
    truths = []
    for _ in range(4000):
        before = rng.beta(2, 2)
        truths.append(np.clip(before + change + rng.normal(0, 0.1), 0, 1) - before)
    truth = float(np.mean(truths))
    covered = 0
    for trial in range(200):
        low, high = change_interval(concepts(rng, count, answers, change), answers, 1000, trial)  # type: ignore[misc]
        covered += low <= truth <= high
    # At least the nominal 95 %, less the error of 200 trials.
    assert covered / 200 >= 0.92


def test_rare_changes_are_covered_where_resampling_alone_would_not() -> None:
    """Three answers of a thousand turn wrong: percentiles of resamples alone leave the truth out too often."""
    rng = np.random.default_rng(8)
    covered = above = 0
    for trial in range(300):
        lost = rng.random(1000) < 0.003
        low, high = change_interval(pair_scores(range(1000), np.ones(1000), (~lost).astype(float)), 1, 500, trial)  # type: ignore[misc, arg-type]
        covered += low <= -0.003 <= high
        above += low > -0.003
    assert covered / 300 >= 0.94
    assert above / 300 <= 0.04


@pytest.mark.parametrize(("answers", "share"), [(1, 1.0), (5, 0.6), (100, 0.505)])
def test_where_nothing_changed_the_bound_is_the_exact_one_over_the_answers_that_count(
    answers: int, share: float
) -> None:
    same = pair_scores(list(np.repeat(np.arange(75), answers)), [1] * 75 * answers, [1] * 75 * answers)
    exact = share * binomtest(0, 75).proportion_ci(method="exact").high
    assert change_interval(same, answers) == pytest.approx((-exact, exact), rel=1e-3)
    # A gap can change by twice as much.
    sums = np.ones((75, 2, 2))
    of_gap = Paired(sums, sums, np.array([1.0, -1.0]), np.zeros(75, dtype=np.int64))
    assert change_interval(of_gap, answers) == pytest.approx((-2 * exact, 2 * exact), rel=1e-3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.02, 0.3]), st.sampled_from([5, 12, 75]), st.booleans())
def test_losing_more_never_raises_an_end_nor_jumps(seed: int, share: float, units: int, alone: bool) -> None:
    """So no verdict gets better by it, whatever the margin."""
    rng = np.random.default_rng(seed)
    asked = np.ones(units, dtype=int) if alone else rng.integers(1, 60, units)
    changed = rng.binomial(asked, share) - rng.binomial(asked, share)
    ends = []
    for more in (0, 1):
        at = rng.integers(units)
        changed[at] = max(-asked[at], changed[at] - more)
        after = np.stack([asked + np.minimum(changed, 0), asked], axis=-1)[:, None].astype(float)
        before = np.stack([asked - np.maximum(changed, 0), asked], axis=-1)[:, None].astype(float)
        paired = Paired(before, after, np.ones(1), np.zeros(units, dtype=np.int64))
        ends.append(change_interval(paired, asked.mean(), **FEW))
    (low, high), (lower, less_high) = ends  # type: ignore[misc]
    assert lower <= low + 1e-12 and less_high <= high + 1e-12
    assert 1 / 1.5 <= (less_high - lower) / (high - low) <= 1.5


def by_category(lost: NDArray[np.bool_], category: NDArray[np.int64]) -> Paired:
    """A score that is averaged over categories, of which the second run has some answers wrong."""
    return pair_scores(range(len(lost)), np.ones(len(lost)), (~lost).astype(float), list(category))  # type: ignore[arg-type]


def test_a_small_stratum_that_counts_as_much_as_a_large_one_widens_the_interval_where_nothing_changed() -> None:
    for sizes, units in (((40, 40), 80), ((10, 90), 4 / (1 / 10 + 1 / 90))):
        same = by_category(np.zeros(sum(sizes), dtype=bool), np.repeat(np.arange(2), sizes))
        exact = 1 - 0.025 ** (1 / units)
        assert change_interval(same, **FEW) == pytest.approx((-exact, exact), rel=5e-3)  # type: ignore[arg-type]


def test_rare_losses_in_small_strata_are_covered() -> None:
    """One answer of a hundred lost in the small half of the categories: with all units counted alike, missed in 30 %."""
    rng = np.random.default_rng(11)
    sizes, rate, above = [30, 30, 30, 30, 147, 170, 200, 200, 200, 20], 0.01, 0
    category = np.repeat(np.arange(10), sizes)
    for trial in range(150):
        lost = (rng.random(len(category)) < rate) & np.isin(category, (0, 1, 2, 3, 9))
        low, _ = change_interval(by_category(lost, category), 1, 300, trial)  # type: ignore[misc]
        above += low > -rate / 2
    assert above / 150 <= 0.04


# --- the verdict, and what the data could have shown ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interval", "higher", "verdict"),
    [
        ((-0.009, 0.02), True, "retained"),
        ((-0.009, -0.001), True, "retained"),
        ((-0.01, 0.02), True, "undecided"),
        ((-0.02, -0.01), True, "undecided"),
        ((-0.03, -0.011), True, "degraded"),
        ((0.011, 0.03), False, "degraded"),
        ((-0.03, 0.009), False, "retained"),
        ((-0.5, 0.5), True, "undecided"),
    ],
)
def test_the_verdict(interval: tuple[float, float], higher: bool, verdict: str) -> None:
    assert retention(*interval, margin=0.01, higher_is_better=higher) == verdict


def test_without_an_interval_nothing_is_decided_and_a_margin_must_be_one() -> None:
    assert retention(None, None, 0.01) == "undecided"
    with pytest.raises(ValueError, match="margin above 0, found 0"):
        retention(-0.1, 0.1, 0)
    with pytest.raises(ValueError, match="expected an interval"):
        retention(0.1, -0.1, 0.01)


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.001, 0.5), st.booleans())
def test_a_wider_interval_never_decides_more(one: float, other: float, margin: float, higher: bool) -> None:
    low, high = sorted((one, other))
    narrow, wide = retention(low, high, margin, higher), retention(low - 0.1, high + 0.1, margin, higher)
    assert wide in (narrow, "undecided")


def test_a_loss_as_large_as_the_margin_is_rarely_called_retained() -> None:
    """The verdict as the test it is: at the margin itself, wrong in 2.5 % of evaluations."""
    rng = np.random.default_rng(9)
    retained = 0
    for trial in range(300):
        chance = rng.random((2, 400))
        before = chance[0] < 0.8
        after = before ^ (chance[1] < np.where(before, 0.1, 0.1))
        # Expected change: 0.2 * 0.1 - 0.8 * 0.1 = -0.06.
        low, high = change_interval(pair_scores(range(400), before, after), 1, 500, trial)  # type: ignore[misc, arg-type]
        retained += retention(low, high, 0.06) == "retained"
    assert retained / 300 <= 0.05


def test_against_a_margin_that_could_be_shown_an_unchanged_model_is_retained_in_four_of_five_evaluations() -> None:
    rng = np.random.default_rng(10)
    intervals = [change_interval(concepts(rng, 40, 5), 5, 500, trial) for trial in range(150)]
    margin = float(np.mean([smallest_difference(each) for each in intervals]))  # type: ignore[arg-type]
    assert np.mean([retention(*each, margin) == "retained" for each in intervals]) >= 0.8  # type: ignore[misc]


def test_the_smallest_difference_is_280_standard_errors() -> None:
    # A normal interval of a mean with standard error 0.01.
    z = norm.ppf(0.975)
    assert smallest_difference((-0.01 * z, 0.01 * z)) == pytest.approx(0.01 * (z + norm.ppf(0.8)))
    assert smallest_difference(None) is None
