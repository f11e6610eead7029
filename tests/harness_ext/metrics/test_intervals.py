"""Intervals: exact ones by closed forms, what one more wrong answer does, and simulated coverage of the benchmark's shape."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from harness_ext.metrics.intervals import concept_interval, difference_of_ratios, drawn_sums, ratio, ratio_estimate
from harness_ext.metrics.units import Estimate, Ratio

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def counts(correct: list[int], total: list[int]) -> list[Ratio]:
    return [Ratio(c, t) for c, t in zip(correct, total, strict=True)]


def width(estimate: Estimate) -> float:
    assert estimate.low is not None and estimate.high is not None
    return estimate.high - estimate.low


@pytest.mark.parametrize(("right", "concepts"), [(0, 5), (5, 5), (10, 10), (3, 10), (75, 75), (74, 75), (40, 75)])
def test_wholly_right_and_wholly_wrong_concepts_get_the_exact_binomial_interval(right: int, concepts: int) -> None:
    """The closed form by the beta distribution, Clopper and Pearson's."""
    found = ratio_estimate(counts([5] * right + [0] * (concepts - right), [5] * concepts))
    low = beta.ppf(0.025, right, concepts - right + 1) if right else 0.0
    high = beta.ppf(0.975, right + 1, concepts - right) if right < concepts else 1.0
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.006)
    assert (found.value, found.n_concepts, found.n_answers) == (right / concepts, concepts, 5 * concepts)


def test_without_the_unseen_concept_the_weights_are_uniform() -> None:
    """The mean and the variance of a Dirichlet-weighted mean, by formula."""
    values = np.array([0.1, 0.4, 0.4, 0.9, 0.7])
    sums = drawn_sums(np.stack([values, np.ones(5)], axis=1))
    means = sums[:, 0] / sums[:, 1]
    assert means.mean() == pytest.approx(values.mean(), abs=0.004)
    assert means.std() == pytest.approx(values.std() / np.sqrt(6), rel=0.03)


def test_many_units_share_draws_and_stay_in_memory() -> None:
    """Equal units are drawn as one sum; the interval is that of the normal approximation."""
    rng = np.random.default_rng(0)
    correct, total = rng.binomial(5, 0.4, 10_000).astype(float), np.full(10_000, 5.0)
    low, high = concept_interval(ratio, (correct, total), (0.0, 1.0))  # type: ignore[misc]
    spread = 1.96 * (correct / 5).std() / 100
    value = correct.sum() / total.sum()
    assert (low, high) == pytest.approx((value - spread, value + spread), abs=4e-4)


def test_a_concept_brings_both_sides_along() -> None:
    """The sides move together concept by concept: weighting them apart would give a far wider interval."""
    text = np.tile([1.0, 2, 3, 4, 5], 8)
    image = text - np.tile([1.0, 0, 1, 0, 1], 8)
    fives = np.full(40, 5.0)
    extremes = (-0.2, 0.2)
    together = concept_interval(difference_of_ratios, (text, fives, image, fives), extremes)
    apart = concept_interval(difference_of_ratios, (text, fives, image[::-1], fives), extremes)
    assert together is not None and apart is not None
    assert together[1] - together[0] < 0.5 * (apart[1] - apart[0])


@pytest.mark.parametrize("concepts", [1, 2, 4])
def test_fewer_than_five_concepts_have_no_interval(concepts: int) -> None:
    found = ratio_estimate(counts([3] * concepts, [5] * concepts))
    assert (found.value, found.low, found.high) == (0.6, None, None)


@st.composite
def answers(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Right answers of those about each concept; most of them right, as where intervals collapsed."""
    total = draw(st.lists(st.integers(1, 40), min_size=5, max_size=40))
    wrong = [draw(st.integers(0, each)) if draw(st.integers(0, 3)) == 0 else 0 for each in total]
    return [n - w for n, w in zip(total, wrong, strict=True)], total


@settings(max_examples=60, deadline=None)
@given(answers(), st.randoms())
def test_one_more_wrong_answer_lowers_both_ends_and_hardly_changes_the_width(
    of: tuple[list[int], list[int]], random: np.random.Generator
) -> None:
    correct, total = of
    if not any(correct):
        return
    at = random.choice([place for place, each in enumerate(correct) if each])
    before = ratio_estimate(counts(correct, total))
    correct[at] -= 1
    after = ratio_estimate(counts(correct, total))
    assert after.low <= before.low and after.high <= before.high  # type: ignore[operator]
    assert 1 / 1.5 <= width(after) / width(before) <= 1.5


@pytest.mark.parametrize("asked", [1, 5, 100])
def test_the_first_wrong_answer_does_not_narrow_the_interval(asked: int) -> None:
    none, one = (ratio_estimate(counts([asked - lost] + [asked] * 74, [asked] * 75)) for lost in (0, 1))
    assert width(none) <= width(one) <= 1.5 * width(none)


@pytest.mark.parametrize(
    "name",
    [
        "perception .98",
        "images .98, clustered",
        "images, 2 concepts wholly wrong",
        "a category of seven concepts, images .40",
        "gap 0.56, text 0.95, correlation 0.3",
        "gap 0.01, text 0.99, correlation 0.3",
        "images: a loss of the margin 0.03, correlation 0.3",
        "text: a loss of the margin 0.05, correlation 0.3",
        "three seeds that vary widely",
    ],
)
def test_simulated_coverage(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of ``benchmarks/coverage.py``, in short: before, they held the truth in .74 to .91 of cases."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    cases = __import__("coverage_cases").cases()
    case = next(each for each in cases if each.name == name)
    rng = np.random.default_rng(3)
    low, high = np.array([case.draw(rng) for _ in range(200)]).T
    # Two standard errors of 200 trials below what is accepted of 2,000.
    assert ((low <= case.truth) & (case.truth <= high)).mean() >= case.least - 0.036
    assert max((low > case.truth).mean(), (high < case.truth).mean()) <= case.tail + 0.028
    sys.modules.pop("coverage_cases")
