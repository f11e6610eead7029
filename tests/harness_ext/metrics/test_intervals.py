"""Intervals: against every possible resample on tiny inputs, by simulated coverage, and where the bootstrap breaks down."""

import itertools

import numpy as np
import pytest
from scipy.stats import beta

from harness_ext.metrics.intervals import concept_interval, difference_of_ratios, ratio, ratio_estimate
from harness_ext.metrics.units import Ratio


def counts(correct: list[int], total: list[int]) -> list[Ratio]:
    return [Ratio(c, t) for c, t in zip(correct, total, strict=True)]


def test_the_interval_is_that_of_all_resamples() -> None:
    correct, total = np.array([1, 0, 4, 2, 9], float), np.array([5, 5, 5, 10, 10], float)
    everything = [correct[list(pick)].sum() / total[list(pick)].sum() for pick in itertools.product(range(5), repeat=5)]
    estimate = ratio_estimate(counts([1, 0, 4, 2, 9], [5, 5, 5, 10, 10]))
    assert (estimate.low, estimate.high) == pytest.approx(tuple(np.quantile(everything, [0.025, 0.975])), abs=0.02)
    assert estimate.value == 16 / 35
    assert (estimate.n_concepts, estimate.n_answers) == (5, 35)


def test_a_resampled_concept_brings_both_sides_along() -> None:
    # The sides move together concept by concept, so that resampling them apart would give a far wider interval.
    text = np.array([1.0, 2, 3, 4, 5])
    image = text - np.array([1.0, 0, 1, 0, 1])
    fives = np.full(5, 5.0)
    arrays = (text, fives, image, fives)
    everything = [((text - image)[list(pick)] / 5).mean() for pick in itertools.product(range(5), repeat=5)]
    interval = concept_interval(difference_of_ratios, arrays, (text, image), (-1.0, 1.0))
    assert interval == pytest.approx(tuple(np.quantile(everything, [0.025, 0.975])), abs=0.02)


def test_one_concept_has_no_interval() -> None:
    estimate = ratio_estimate(counts([3], [5]))
    assert (estimate.value, estimate.low, estimate.high) == (0.6, None, None)


@pytest.mark.parametrize("concepts", [2, 10, 75])
def test_all_right_and_all_wrong_get_the_clopper_pearson_interval(concepts: int) -> None:
    right = ratio_estimate(counts([5] * concepts, [5] * concepts))
    wrong = ratio_estimate(counts([0] * concepts, [5] * concepts))
    # The textbook's closed form by the beta distribution, n successes of n.
    low = beta.ppf(0.025, concepts, 1)
    assert (right.value, right.low, right.high) == pytest.approx((1.0, low, 1.0))
    assert (wrong.value, wrong.low, wrong.high) == pytest.approx((0.0, 0.0, 1 - low))


def test_equal_concepts_do_not_get_an_interval_of_no_width() -> None:
    estimate = ratio_estimate(counts([4, 4, 8], [5, 5, 10]))
    unseen = 1 - 0.025 ** (1 / 3)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0.8, 0.8 - 0.8 * unseen, 0.8 + 0.2 * unseen))


def test_ten_thousand_concepts_stay_in_memory_and_agree_with_the_normal_approximation() -> None:
    rng = np.random.default_rng(0)
    correct, total = rng.binomial(5, 0.4, 10_000).astype(float), np.full(10_000, 5.0)
    low, high = concept_interval(ratio, (correct, total), (correct / total,), (0.0, 1.0))  # type: ignore[misc]
    spread = 1.96 * (correct / 5).std() / 100
    assert (low, high) == pytest.approx((ratio(correct, total) - spread, ratio(correct, total) + spread), abs=3e-4)


@pytest.mark.parametrize(("concepts", "least"), [(75, 0.92), (10, 0.85)])
def test_coverage(concepts: int, least: float) -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        values = rng.binomial(10, rng.beta(2, 2, concepts)) / 10
        interval = concept_interval(np.mean, (values,), (values,), (0.0, 1.0), seed=trial)
        assert interval is not None
        covered += interval[0] <= 0.5 <= interval[1]
    assert least <= covered / 200 <= 0.99
