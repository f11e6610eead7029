"""McNemar, Holm and the swapping of units, each against another way to the same number."""

import itertools
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, permutation_test

from harness_ext.metrics.paired_tests import RANDOM_SWAPS, holm, mcnemar, swap_test
from harness_ext.metrics.units import Paired, contributions, pair_scores, values

# What statsmodels 0.15 prints: `mcnemar([[0, lost], [gained, 0]], exact=True).pvalue`.
STATSMODELS_MCNEMAR = {
    (0, 0): 1.0,
    (1, 0): 1.0,
    (5, 0): 0.0625,
    (3, 9): 0.14599609375,
    (12, 30): 0.007915897334896727,
    (121, 59): 4.4344492637551645e-06,
}
# `multipletests(p, method="holm")[1]`.
STATSMODELS_HOLM = ([0.01, 0.04, 0.03, 0.005, 0.03], [0.04, 0.09, 0.09, 0.025, 0.09])


def answers(draw_units: list[tuple[int, bool, bool]]) -> Paired:
    return pair_scores(*([each[at] for each in draw_units] for at in range(3)))  # type: ignore[arg-type]


ANSWERS = st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans()), min_size=1, max_size=30)


# --- McNemar ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("counts", "p"), STATSMODELS_MCNEMAR.items())
def test_mcnemar_is_that_of_statsmodels(counts: tuple[int, int], p: float) -> None:
    assert mcnemar(*counts) == pytest.approx(p)


@given(st.integers(0, 12), st.integers(0, 12))
def test_mcnemar_counts_all_ways_the_coins_can_fall(gained: int, lost: int) -> None:
    ways = sum(
        comb(gained + lost, heads)
        for heads in range(gained + lost + 1)
        if abs(2 * heads - gained - lost) >= abs(gained - lost)
    )
    assert mcnemar(gained, lost) == pytest.approx(ways / 2 ** (gained + lost))


def test_mcnemar_refuses_what_is_no_count() -> None:
    with pytest.raises(ValueError, match="expected counts of questions, found -1 gained and 2 lost"):
        mcnemar(-1, 2)


# --- Holm -------------------------------------------------------------------------------------------------------------


def closed_testing(p_values: list[float]) -> list[float]:
    """Holm's correction from first principles: Bonferroni's test of every set of hypotheses that holds the one asked for."""
    everything = range(len(p_values))
    sets = [chosen for size in range(1, len(p_values) + 1) for chosen in itertools.combinations(everything, size)]
    bonferroni = {chosen: min(1.0, len(chosen) * min(p_values[at] for at in chosen)) for chosen in sets}
    return [max(p for chosen, p in bonferroni.items() if at in chosen) for at in everything]


@given(st.lists(st.floats(0, 1), max_size=7))
def test_holm_is_the_closed_test_with_bonferroni(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(closed_testing(p_values))


def test_holm_is_that_of_statsmodels() -> None:
    assert holm(STATSMODELS_HOLM[0]) == pytest.approx(STATSMODELS_HOLM[1])


def test_holm_refuses_what_is_no_probability() -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1, found 1\.5"):
        holm([0.1, 1.5])


# --- swaps ------------------------------------------------------------------------------------------------------------


def all_swaps(paired: Paired) -> float:
    """By hand: every way to swap units, the measure of each."""
    found = values(paired)[1] - values(paired)[0]
    hits = 0
    ways = list(itertools.product((False, True), repeat=paired.units))
    for way in ways:
        swap = np.array(way)[:, None, None]
        swapped = Paired(
            np.where(swap, paired.after, paired.before),
            np.where(swap, paired.before, paired.after),
            paired.weights,
            paired.strata,
        )
        before, after = values(swapped)
        hits += abs(after - before) >= abs(found) - 1e-12
    return hits / len(ways)


@given(ANSWERS)
def test_swaps_of_right_and_wrong_answers_are_all_counted(drawn: list[tuple[int, bool, bool]]) -> None:
    p, way = swap_test(answers(drawn))
    assert way == "counted"
    assert p == pytest.approx(all_swaps(answers(drawn)))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_where_every_answer_is_a_unit_it_is_mcnemars_test(drawn: list[tuple[bool, bool]]) -> None:
    gained, lost = drawn.count((False, True)), drawn.count((True, False))
    p, _ = swap_test(pair_scores(range(len(drawn)), [a for a, _ in drawn], [b for _, b in drawn]))
    assert p == pytest.approx(mcnemar(gained, lost))


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12))
def test_swaps_of_other_scores_are_tried_one_by_one(drawn: list[tuple[int, float, float]]) -> None:
    paired = pair_scores(*([each[at] for each in drawn] for at in range(3)))  # type: ignore[arg-type]
    p, _ = swap_test(paired)
    assert p == pytest.approx(all_swaps(paired))


def test_random_swaps_agree_with_scipys_permutation_test() -> None:
    rng = np.random.default_rng(1)
    before = rng.uniform(size=40)
    after = np.clip(before + rng.normal(0.03, 0.1, size=40), 0, 1)
    p, way = swap_test(pair_scores(range(40), before, after))  # type: ignore[arg-type]
    expected = permutation_test(
        (before, after), lambda x, y, axis: (y - x).mean(axis=axis), permutation_type="samples", vectorized=True,
        n_resamples=20_000, rng=np.random.default_rng(2),
    )  # fmt: skip
    assert way == "random swaps"
    assert p == pytest.approx(expected.pvalue, abs=0.012)
    assert p * (RANDOM_SWAPS + 1) == pytest.approx(round(p * (RANDOM_SWAPS + 1)))


def test_a_hundred_thousand_answers_are_counted_as_the_binomial_test_does() -> None:
    units = 100_000
    before, after = np.zeros(units), np.zeros(units)
    before[:3000], after[3000:6200] = 1, 1
    p, _ = swap_test(pair_scores(range(units), before, after))  # type: ignore[arg-type]
    assert p == pytest.approx(binomtest(3200, 6200).pvalue, rel=1e-6)


def test_answers_about_one_concept_are_one_observation() -> None:
    # One concept turned: five answers that a test of answers takes for five coins.
    drawn = [(concept, concept == 0, False) for concept in range(20) for _ in range(5)]
    p, _ = swap_test(answers(drawn))
    assert p == 1.0
    assert mcnemar(0, 5) == 0.0625


@given(ANSWERS)
def test_swapping_the_runs_turns_signs_and_leaves_the_test(drawn: list[tuple[int, bool, bool]]) -> None:
    forwards, backwards = answers(drawn), answers([(unit, after, before) for unit, before, after in drawn])
    assert contributions(backwards) == pytest.approx(-contributions(forwards))
    assert values(backwards) == values(forwards)[::-1]
    assert swap_test(backwards) == swap_test(forwards)


@given(ANSWERS, st.randoms())
def test_the_order_of_samples_does_not_matter(drawn: list[tuple[int, bool, bool]], order) -> None:  # type: ignore[no-untyped-def]
    shuffled = order.sample(drawn, len(drawn))
    assert values(answers(shuffled)) == pytest.approx(values(answers(drawn)))
    assert swap_test(answers(shuffled)) == swap_test(answers(drawn))


def test_a_false_alarm_is_as_rare_as_it_says() -> None:
    """Concepts of five answers that agree among themselves, and no true change."""
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(400):
        chance = rng.beta(0.5, 0.5, size=(2, 30))
        right = rng.binomial(1, chance[:, :, None], size=(2, 30, 5)).reshape(2, -1)
        p, _ = swap_test(pair_scores(np.repeat(np.arange(30), 5), right[0], right[1]))  # type: ignore[arg-type]
        alarms += p < 0.05
    assert alarms / 400 < 0.08


def test_sums_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="positive denominator"):
        Paired(np.zeros((2, 1, 2)), np.zeros((2, 1, 2)), np.ones(1), np.zeros(2, dtype=np.int64))
    with pytest.raises(ValueError, match="expected sums of shape"):
        Paired(np.ones((2, 1, 2)), np.ones((3, 1, 2)), np.ones(1), np.zeros(2, dtype=np.int64))
    with pytest.raises(ValueError, match="every unit in one stratum"):
        pair_scores(["a", "a"], [0, 1], [1, 1], ["x", "y"])
