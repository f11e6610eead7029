"""The drift between a reward and a judge, against figures by hand, a plain implementation, and simulated runs."""

from fractions import Fraction
from math import sqrt

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from align.ppo.drift import Pairs, drift, level

RIGHT = st.lists(st.booleans(), min_size=2, max_size=30)


def pairs(scores: list[float], right: list[bool] | list[int]) -> Pairs:
    return np.array(scores, dtype=float), np.array(right, dtype=float)


def share(rollouts: list[Pairs]) -> float:
    return float(np.concatenate([right for _, right in rollouts]).mean())


@st.composite
def rollout(draw: st.DrawFn) -> Pairs:
    """Responses of a reward of few values, more than half a step apart."""
    right = draw(RIGHT)
    scores = draw(st.lists(st.integers(-5, 5), min_size=len(right), max_size=len(right)))
    return pairs([float(each) for each in scores], right)


ROLLOUTS = st.lists(rollout(), min_size=2, max_size=5)


def plain(first: list[Pairs], now: list[Pairs]) -> Fraction:
    """The drift, response by response and exactly: the first responses are called right from the best reward down."""
    scores = [each for part, _ in first for each in part]
    left = Fraction(sum(int(each) for _, part in first for each in part))
    counts: dict[float, Fraction] = {}
    for value in sorted(set(scores), reverse=True):
        alike = scores.count(value)
        counts[value] = min(Fraction(1), max(Fraction(0), left / alike))
        left -= alike

    def read(score: float) -> Fraction:
        """What lies between two of the first rewards counts as the lower one, unless that one is called right in part."""
        if score in counts:
            return counts[score]
        if score > max(counts):
            return Fraction(1)
        lower = [counts[value] for value in counts if value < score]
        return Fraction(int(bool(lower) and max(lower) > 0))

    every = [(score, right) for part in now for score, right in zip(*part, strict=True)]
    return sum((read(score) - int(right) for score, right in every), Fraction(0)) / len(every)


@given(ROLLOUTS, ROLLOUTS)
def test_it_is_that_of_a_plain_implementation(first: list[Pairs], now: list[Pairs]) -> None:
    assume(share(first) > 0)
    assert drift(first, now).drift == pytest.approx(float(plain(first, now)), abs=1e-12)


@given(ROLLOUTS)
def test_of_the_first_rollouts_themselves_it_is_zero(first: list[Pairs]) -> None:
    found = drift(first, first)
    assert found.drift == pytest.approx(0, abs=1e-12)
    assert (found.right, found.reward) == pytest.approx((share(first), share(first)))


@given(ROLLOUTS, ROLLOUTS, st.sampled_from([0.25, 2.0, 64.0]), st.integers(-8, 8), st.randoms())
def test_neither_scale_nor_order_counts(
    first: list[Pairs], now: list[Pairs], scale: float, shift: int, random: np.random.Generator
) -> None:
    """Powers of two, so that no rounding does either."""

    def changed(rollouts: list[Pairs]) -> list[Pairs]:
        orders = [np.array(random.sample(range(len(scores)), len(scores))) for scores, _ in rollouts]
        return [(scores[at] * scale + shift, right[at]) for at, (scores, right) in zip(orders, rollouts, strict=True)]

    before, after = drift(first, now), drift(changed(first), changed(now))
    assert (after.drift, after.error) == pytest.approx((before.drift, before.error), abs=1e-9)


def test_mcnemar() -> None:
    """A reward of 0 and 1 that called as many right as the judge: (b - c) / n, and the standard error of that by hand."""
    first = [pairs([1, 0, 1, 0], [1, 0, 1, 0])] * 3  # agreed, so that its level is certain
    only_reward, only_judge, n = 7, 2, 40
    now = [
        pairs([1] * only_reward, [0] * only_reward),
        pairs([0] * only_judge, [1] * only_judge),
        pairs([1] * (n - only_reward - only_judge), [1] * (n - only_reward - only_judge)),
    ]
    found = drift(first, now)
    assert found.drift == pytest.approx((only_reward - only_judge) / n)
    wald = sqrt(only_reward + only_judge - (only_reward - only_judge) ** 2 / n) / n
    assert found.error == pytest.approx(wald * sqrt(n / (n - 1)))
    assert found.least == pytest.approx(found.drift - 2 * found.error)


@given(ROLLOUTS, ROLLOUTS)
def test_the_error_is_that_of_a_plain_jackknife(first: list[Pairs], now: list[Pairs]) -> None:
    """Every one of the first responses is left out in turn; with two at each end, by which the steps are counted."""
    ends = pairs([-5, -5, 5, 5], [0, 0, 1, 1])
    scores, right = (np.concatenate(each) for each in zip(ends, *first, strict=True))
    size = len(scores)
    without = [drift([(np.delete(scores, at), np.delete(right, at))], now).reward for at in range(size)]
    found = drift([ends, *first], now)
    left, judged = np.concatenate([each for each, _ in now]), np.concatenate([each for _, each in now])
    apart = level(scores, right).read(left) - judged
    expected = (size - 1) * np.var(without) + np.var(apart, ddof=1) / len(apart)
    assert found.error**2 == pytest.approx(expected, abs=1e-9)


def test_a_reward_that_is_seldom_earned_at_first() -> None:
    """It pays 0.2 of the first responses, of which the judge calls 0.7 right: 5 of 8 of those that it does not pay count."""
    first = [pairs([1, 1, 0, 0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1, 0, 0, 0])] * 4
    fooled = drift(first, [pairs([1] * 10, [1, 1, 1, 1, 1, 0, 0, 0, 0, 0])])
    assert (fooled.reward, fooled.right, fooled.drift) == pytest.approx((1.0, 0.5, 0.5))
    learned = drift(first, [pairs([1] * 10, [1] * 10)])
    assert (learned.reward, learned.right, learned.drift, learned.error) == pytest.approx((1.0, 1.0, 0.0, 0.0))
    neither = drift(first, [pairs([0] * 10, [1] * 7 + [0] * 3)])
    assert (neither.reward, neither.right) == pytest.approx((0.625, 0.7))


def test_how_sure_a_classifier_is_does_not_count() -> None:
    """Of log-probabilities near 0, or near -5, that all rise or fall a little, none changes sides."""
    rng = np.random.default_rng(0)
    right = np.arange(200) % 10 < 6
    read = (
        np.arange(200) % 10 < 7
    )  # the classifier calls more right than the judge: the level lies among its right ones
    scores = np.where(read, -0.01, -4.9) + rng.uniform(-0.005, 0.005, 200)
    first = [(scores[at::4], right[at::4].astype(float)) for at in range(4)]
    for shift in (-0.05, -1e-3, 1e-3, 0.009):
        assert drift(first, [(scores + shift, right.astype(float))]).drift == pytest.approx(0)


def test_equal_rewards_are_alike_up_to_rounding() -> None:
    first = [pairs([0.3, 0.3 + 1e-12], [1, 0])] * 2
    assert drift(first, [pairs([0.3 - 1e-12, 0.3], [1, 0])]).drift == pytest.approx(0)
    assert drift(first, [pairs([0.4, 0.4], [1, 0])]).drift == pytest.approx(0.5)


def test_too_little_to_say_anything() -> None:
    with pytest.raises(ValueError, match="expected two responses each, found 1 and 2"):
        drift([pairs([1], [1])], [pairs([1, 0], [1, 0])])


@given(rollout())
def test_a_level_keeps_the_order(some: Pairs) -> None:
    values = np.linspace(-7, 7, 57)
    read = level(*some).read(values)
    assert (np.diff(read) >= 0).all() and read.min() >= 0 and read.max() <= 1


# --- simulated runs ---------------------------------------------------------------------------------------------------


def drawn(rng: np.random.Generator, size: int, truth: float, noise: float, values: str) -> Pairs:
    """Responses of which ``truth`` are right, read by a reward and a judge that err each for itself, ``noise`` of them."""
    right = rng.random(size) < truth
    rewarded = right ^ (rng.random(size) < noise)
    judged = right ^ (rng.random(size) < noise)
    scores = rewarded.astype(float)
    if values == "three":  # of which the middle one is rare: the level's share rests on few responses
        scores = np.where(rng.random(size) < 0.1, 0.5, scores)
    if values == "many":
        scores = scores + rng.normal(0, 0.5, size)
    return scores, judged.astype(float)


@pytest.mark.parametrize("values", ["two", "three", "many"])
def test_the_error_is_the_spread_over_runs(values: str) -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(200):
        first = [drawn(rng, 32, 0.6, 0.1, values) for _ in range(10)]
        found.append(drift(first, [drawn(rng, 32, 0.7, 0.1, values) for _ in range(10)]))
    spread, error = np.std([each.drift for each in found]), np.mean([each.error for each in found])
    assert 0.85 < error / spread < 1.3


def warnings(truths: list[float], bias: float, seed: int) -> list[int]:
    """The rollouts at whose end 10 of them say that the reward drifted by more than 0.1, in a run of these truths."""
    rng = np.random.default_rng(seed)
    run = []
    for truth in truths:
        scores, judged = drawn(rng, 32, truth, 0.05, "two")
        fooled = rng.random(32) < bias * len(run) / len(truths)
        run.append((np.where(fooled, 1.0, scores), judged))
    return [at for at in range(19, len(run)) if drift(run[:10], run[at - 9 : at + 1]).least > 0.1]


def test_a_sound_run_is_not_warned_of_and_a_fooled_one_is() -> None:
    """In runs of 120 rollouts from 0.6 right to 0.95; of a fooled reward that pays everything in the end, it stays at 0.6."""
    learning = list(np.linspace(0.6, 0.95, 120))
    assert [warnings(learning, 0.0, seed) for seed in range(20)] == [[]] * 20
    firsts = [warnings([0.6] * 120, 1.0, seed)[0] for seed in range(20)]
    # When the pay exceeds what is right by 0.1, some 30 rollouts are through; by the end it does by 0.4.
    assert min(firsts) > 25 and max(firsts) < 90
