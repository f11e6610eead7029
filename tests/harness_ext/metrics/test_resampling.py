"""The interval of a change: against every possible resample, by simulated coverage, and where resampling breaks down."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from harness_ext.metrics.intervals import change_interval, resampled_changes, smallest_difference, tango
from harness_ext.metrics.paired_tests import retention
from harness_ext.metrics.units import Paired, pair_scores, values

FEW = {"resamples": 2000}


def concepts(rng: np.random.Generator, count: int, answers: int, change: float = 0.0) -> Paired:
    """Concepts that differ, in how hard they are and in what the second model makes of them."""
    before = rng.beta(2, 2, count)
    after = np.clip(before + change + rng.normal(0, 0.1, count), 0, 1)
    right = [rng.binomial(1, np.repeat(chance, answers)) for chance in (before, after)]
    return pair_scores(list(np.repeat(np.arange(count), answers)), list(right[0]), list(right[1]))


def gap(rng: np.random.Generator, units: int) -> Paired:
    sums = rng.integers(0, 4, size=(2, units, 2, 1)).astype(float)
    denominators = np.broadcast_to(rng.integers(3, 6, size=(units, 2, 1)), (units, 2, 1)).astype(float)
    tables = [np.concatenate([each, denominators], axis=2) for each in sums]
    return Paired(tables[0], tables[1], np.array([1.0, -1.0]), np.zeros(units, dtype=np.int64))


def every_resample(paired: Paired) -> NDArray[np.float64]:
    """By hand: every way to draw as many units as there are, within strata."""
    groups = [np.flatnonzero(paired.strata == stratum) for stratum in np.unique(paired.strata)]
    changes = []
    for picks in itertools.product(*(itertools.product(group, repeat=len(group)) for group in groups)):
        drawn = np.concatenate([np.array(pick) for pick in picks])
        sides = []
        for sums in (paired.before, paired.after):
            totals = sums[drawn].sum(axis=0)
            sides.append(sum(weight * n / d for weight, (n, d) in zip(paired.weights, totals, strict=True)))
        changes.append(sides[1] - sides[0])
    return np.array(changes)


def assert_same_distribution(found: NDArray[np.float64], expected: NDArray[np.float64]) -> None:
    assert found.mean() == pytest.approx(expected.mean(), abs=4 * expected.std() / np.sqrt(len(found)) + 1e-12)
    assert found.std() == pytest.approx(expected.std(), rel=0.05)
    for level in (0.05, 0.5, 0.95):
        # A quantile of few values can fall to either side of a step.
        low, high = np.quantile(expected, [max(0, level - 0.02), min(1, level + 0.02)])
        assert low - 1e-9 <= np.quantile(found, level) <= high + 1e-9


@pytest.mark.parametrize("repeats", [1, 30])
def test_resamples_are_those_of_all_draws(repeats: int) -> None:
    """With equal units drawn as one kind (multinomial), and one by one."""
    rng = np.random.default_rng(3)
    few = concepts(rng, 5, 4)
    assert_same_distribution(resampled_changes(few), every_resample(few))
    # Thirty copies of each unit: as many kinds as before, and a fifth of the spread.
    many = Paired(
        *(np.repeat(sums, repeats, axis=0) for sums in (few.before, few.after)),
        few.weights,
        np.repeat(few.strata, repeats),
    )
    found = resampled_changes(many)
    assert found.std() == pytest.approx(every_resample(few).std() / np.sqrt(repeats), rel=0.06)


def test_resamples_of_a_gap_draw_text_and_image_together() -> None:
    paired = gap(np.random.default_rng(4), 5)
    assert_same_distribution(resampled_changes(paired), every_resample(paired))


def test_resamples_stay_within_strata() -> None:
    scores = ([0, 1, 1, 0, 1, 0], [1, 1, 0, 1, 1, 1])
    paired = pair_scores(range(6), *scores, ["a", "a", "a", "b", "b", "b"])  # type: ignore[arg-type]
    assert values(paired) == pytest.approx(((2 / 3 + 1 / 3) / 2, (2 / 3 + 1) / 2))
    assert_same_distribution(resampled_changes(paired), every_resample(paired))


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_swapping_the_runs_mirrors_the_interval(seed: int) -> None:
    paired = concepts(np.random.default_rng(seed), 12, 3)
    low, high = change_interval(paired, **FEW)  # type: ignore[misc]
    mirrored = change_interval(Paired(paired.after, paired.before, paired.weights, paired.strata), **FEW)
    # Kinds of units are sorted, so that the two draws are not the same ones.
    assert mirrored == pytest.approx((-high, -low), abs=0.05)
    change = values(paired)[1] - values(paired)[0]
    assert low - 1e-9 <= change <= high + 1e-9


def test_the_order_of_units_does_not_matter() -> None:
    paired = concepts(np.random.default_rng(5), 20, 3)
    order = np.random.default_rng(6).permutation(20)
    shuffled = Paired(paired.before[order], paired.after[order], paired.weights, paired.strata)
    assert change_interval(shuffled) == pytest.approx(change_interval(paired), abs=0.02)


def test_one_unit_has_no_interval() -> None:
    assert change_interval(pair_scores(["a", "a"], [0, 1], [1, 1])) is None


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
        low, high = change_interval(concepts(rng, count, answers, change), 1000, trial)  # type: ignore[misc]
        covered += low <= truth <= high
    # The nominal 95 % give or take the error of 200 trials.
    assert 0.91 <= covered / 200 <= 0.995


def test_rare_changes_are_covered_where_resampling_alone_would_not() -> None:
    """Three answers of a thousand turn wrong: percentiles of resamples alone leave the truth out too often."""
    rng = np.random.default_rng(8)
    covered = above = 0
    for trial in range(300):
        lost = rng.random(1000) < 0.003
        low, high = change_interval(pair_scores(range(1000), np.ones(1000), (~lost).astype(float)), 500, trial)  # type: ignore[misc, arg-type]
        covered += low <= -0.003 <= high
        above += low > -0.003
    assert covered / 300 >= 0.94
    assert above / 300 <= 0.04


def test_where_nothing_changed_the_interval_is_not_of_no_width() -> None:
    same = pair_scores(list(np.repeat(np.arange(75), 100)), [1] * 7500, [1] * 7500)
    z = norm.ppf(0.975) ** 2
    assert change_interval(same) == pytest.approx((-z / (75 + z), z / (75 + z)), abs=1e-6)
    # A gap can change by twice as much.
    sums = np.ones((10, 2, 2))
    assert change_interval(Paired(sums, sums, np.array([1.0, -1.0]), np.zeros(10, dtype=np.int64))) == pytest.approx(
        (-2 * z / (10 + z), 2 * z / (10 + z)), abs=1e-6
    )


# --- Tango ------------------------------------------------------------------------------------------------------------


def score_by_likelihood(gained: int, lost: int, questions: int, difference: float) -> float:
    """The score statistic with the nuisance share found by maximising the likelihood, not by Tango's closed form."""

    def loss(share_lost: float) -> float:
        shares = np.array([share_lost + difference, share_lost, 1 - 2 * share_lost - difference])
        counts = np.array([gained, lost, questions - gained - lost])
        return -float((counts * np.log(np.maximum(shares, 1e-300))).sum())

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    share = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    variance = (2 * share + difference - difference**2) / questions
    return float(((gained - lost) / questions - difference) / np.sqrt(variance))


@pytest.mark.parametrize(("gained", "lost", "questions"), [(12, 2, 50), (3, 9, 40), (1, 4, 300), (7, 7, 20)])
def test_tangos_limits_are_where_the_score_statistic_is_significant(gained: int, lost: int, questions: int) -> None:
    low, high = tango(gained, lost, questions)
    z = norm.ppf(0.975)
    assert score_by_likelihood(gained, lost, questions, low) == pytest.approx(z, abs=1e-3)
    assert score_by_likelihood(gained, lost, questions, high) == pytest.approx(-z, abs=1e-3)


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 50))
def test_tangos_interval_holds_the_difference_and_mirrors(gained: int, lost: int, same: int) -> None:
    questions = gained + lost + same
    if not questions:
        return
    low, high = tango(gained, lost, questions)
    assert -1 <= low <= (gained - lost) / questions <= high <= 1
    mirrored = tango(lost, gained, questions)
    assert mirrored == pytest.approx((-high, -low), abs=1e-6)


def test_tangos_interval_covers_by_enumeration() -> None:
    """The exact coverage over all outcomes of thirty questions."""
    from scipy.stats import multinomial

    share_gained, share_lost, questions = 0.1, 0.15, 30
    covered = 0.0
    for gained in range(questions + 1):
        for lost in range(questions + 1 - gained):
            chance = multinomial.pmf(
                [gained, lost, questions - gained - lost], questions, [share_gained, share_lost, 0.75]
            )
            if chance > 1e-7:
                low, high = tango(gained, lost, questions)
                covered += chance * (low <= share_gained - share_lost <= high)
    assert 0.94 <= covered <= 0.98


def by_category(lost: NDArray[np.bool_], category: NDArray[np.int64]) -> Paired:
    """A score that is averaged over categories, of which the second run has some answers wrong."""
    return pair_scores(range(len(lost)), np.ones(len(lost)), (~lost).astype(float), list(category))  # type: ignore[arg-type]


def test_a_small_stratum_that_counts_as_much_as_a_large_one_widens_the_interval_where_nothing_changed() -> None:
    z = norm.ppf(0.975) ** 2
    for sizes, units in (((40, 40), 80), ((10, 90), 4 / (1 / 10 + 1 / 90))):
        same = by_category(np.zeros(sum(sizes), dtype=bool), np.repeat(np.arange(2), sizes))
        assert change_interval(same, **FEW) == pytest.approx((-z / (units + z), z / (units + z)), abs=1e-6)  # type: ignore[arg-type]


def test_rare_losses_in_small_strata_are_covered() -> None:
    """One answer of a hundred lost in the small half of the categories: with all units counted alike, missed in 30 %."""
    rng = np.random.default_rng(11)
    sizes, rate, above = [30, 30, 30, 30, 147, 170, 200, 200, 200, 20], 0.01, 0
    category = np.repeat(np.arange(10), sizes)
    for trial in range(150):
        lost = (rng.random(len(category)) < rate) & np.isin(category, (0, 1, 2, 3, 9))
        low, _ = change_interval(by_category(lost, category), 300, trial)  # type: ignore[misc]
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
        low, high = change_interval(pair_scores(range(400), before, after), 500, trial)  # type: ignore[misc, arg-type]
        retained += retention(low, high, 0.06) == "retained"
    assert retained / 300 <= 0.05


def test_the_smallest_difference_is_shown_in_four_of_five_evaluations() -> None:
    rng = np.random.default_rng(10)
    widths = [smallest_difference(change_interval(concepts(rng, 40, 5), 500, trial)) for trial in range(50)]
    detectable = float(np.mean([width for width in widths if width is not None]))
    shown = 0
    for trial in range(200):
        low, high = change_interval(concepts(rng, 40, 5, detectable), 500, trial)  # type: ignore[misc]
        shown += low > 0 or high < 0
    assert 0.70 <= shown / 200 <= 0.90


def test_the_smallest_difference_is_280_standard_errors() -> None:
    # A normal interval of a mean with standard error 0.01.
    z = norm.ppf(0.975)
    assert smallest_difference((-0.01 * z, 0.01 * z)) == pytest.approx(0.01 * (z + norm.ppf(0.8)))
    assert smallest_difference(None) is None
