"""PPO's maths against a plain numpy implementation, written response by response and token by token without a mask."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from align.ppo.maths import (
    Moments,
    adapted_kl_coef,
    explained_variance,
    generalized_advantages,
    moments,
    policy_loss,
    token_rewards,
    value_loss,
    whiten,
    whiten_apart,
)

Rows = list[np.ndarray]
CLOSE = {"rtol": 1e-6, "atol": 1e-6}


@st.composite
def ragged(draw: st.DrawFn, tensors: int) -> list[Rows]:
    """As many lists of rows as asked for; the rows of one place have one length, from 1 to 7, in all lists."""
    lengths = draw(st.lists(st.integers(1, 7), min_size=1, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return [[rng.normal(size=length) for length in lengths] for _ in range(tensors)]


def padded(rows: Rows, extra: int = 0, filler: float = math.nan) -> torch.Tensor:
    """Rows as a tensor in float64, with something at the padding that must not count."""
    width = max(map(len, rows)) + extra
    return torch.tensor(np.array([np.pad(row, (0, width - len(row)), constant_values=filler) for row in rows]))


def mask_of(rows: Rows, extra: int = 0) -> torch.Tensor:
    return (~padded(rows, extra).isnan()).long()


def real(tensor: torch.Tensor, rows: Rows) -> Rows:
    assert all(not values[len(row) :].any() for values, row in zip(tensor.numpy(), rows, strict=True)), (
        "padding is not 0"
    )
    return [values[: len(row)] for values, row in zip(tensor.numpy(), rows, strict=True)]


def same(found: Rows, expected: Rows) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, **CLOSE)


# --- the oracle -------------------------------------------------------------------------------------------------------


def oracle_rewards(score: float, policy: np.ndarray, reference: np.ndarray, kl_coef: float) -> np.ndarray:
    rewards = [-kl_coef * (p - r) for p, r in zip(policy, reference, strict=True)]
    rewards[-1] += score
    return np.array(rewards)


def oracle_advantages(rewards: np.ndarray, values: np.ndarray, gamma: float, lam: float) -> np.ndarray:
    """The definition (GAE, eq. 16): a weighted sum of the TD errors that are still to come."""
    n = len(rewards)
    deltas = [rewards[t] + gamma * (values[t + 1] if t + 1 < n else 0) - values[t] for t in range(n)]
    return np.array([sum((gamma * lam) ** (k - t) * deltas[k] for k in range(t, n)) for t in range(n)])


def oracle_policy_loss(new: np.ndarray, old: np.ndarray, advantages: np.ndarray, low: float, high: float) -> float:
    total = 0.0
    for n, o, a in zip(new, old, advantages, strict=True):
        ratio = math.exp(n - o)
        total -= min(ratio * a, min(max(ratio, 1 - low), 1 + high) * a)
    return total


# --- against it -------------------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(ragged(2), st.integers(0, 4), st.floats(0, 1))
def test_rewards(rows: list[Rows], extra: int, kl_coef: float) -> None:
    policy, reference = rows
    scores = torch.arange(len(policy), dtype=torch.float64) - 1
    found = token_rewards(scores, padded(policy, extra), padded(reference, extra), mask_of(policy, extra), kl_coef)
    expected = [oracle_rewards(*each, kl_coef) for each in zip(scores.tolist(), policy, reference, strict=True)]
    same(real(found, policy), expected)


@settings(max_examples=50)
@given(ragged(2), st.integers(0, 4), st.floats(0.5, 1), st.floats(0, 1))
def test_advantages(rows: list[Rows], extra: int, gamma: float, lam: float) -> None:
    rewards, values = rows
    found = generalized_advantages(padded(rewards, extra), padded(values, extra), mask_of(rewards, extra), gamma, lam)
    same(real(found, rewards), [oracle_advantages(*each, gamma, lam) for each in zip(rewards, values, strict=True)])


@settings(max_examples=50)
@given(ragged(2))
def test_with_lambda_one_advantages_plus_values_are_returns(rows: list[Rows]) -> None:
    rewards, values = rows
    mask = mask_of(rewards)
    advantages = generalized_advantages(padded(rewards), padded(values), mask, gamma=1, lam=1)
    same(real(advantages + padded(values, filler=0), rewards), [row[::-1].cumsum()[::-1] for row in rewards])


@settings(max_examples=50)
@given(ragged(1), st.integers(0, 4))
def test_whitening_and_moments(rows: list[Rows], extra: int) -> None:
    flat = np.concatenate(rows[0])
    values, mask = padded(rows[0], extra), mask_of(rows[0], extra)
    expected = [(row - flat.mean()) / (flat.std() + 1e-8) for row in rows[0]]
    if len(flat) > 1:
        same(real(whiten(values, mask), rows[0]), expected)
    sums = moments(values, mask)
    np.testing.assert_allclose([float(each) for each in sums], [len(flat), flat.sum(), (flat**2).sum()], **CLOSE)


def test_equal_values_whiten_to_zero() -> None:
    assert whiten(torch.full((2, 3), 0.7), torch.ones(2, 3)).abs().max() < 1e-3


@settings(max_examples=50)
@given(ragged(1), st.integers(1, 3))
def test_moments_of_parts_whiten_as_the_whole(rows: list[Rows], parts: int) -> None:
    values, mask = padded(rows[0]), mask_of(rows[0])
    each = [moments(values[part::parts], mask[part::parts]) for part in range(parts)]
    together = Moments(*(torch.stack(sums).sum(0) for sums in zip(*each, strict=True)))
    torch.testing.assert_close(whiten(values, mask, together), whiten(values, mask), **CLOSE)


@settings(max_examples=100)
@given(ragged(tensors=1), st.integers(0, 3), st.integers(1, 3))
def test_others_are_in_the_scale_of_the_judged_and_change_nothing_of_theirs(
    rows: list[Rows], extra: int, count: int
) -> None:
    """Of all responses the first ones are judged; whatever the others are, these come out as they do alone."""
    values, mask = padded(rows[0], extra), mask_of(rows[0], extra)
    is_judged = torch.arange(len(mask)) < count
    judged = mask * is_judged[:, None]
    over = moments(values, judged)
    found = whiten_apart(values, mask, judged, over)
    apart = real(found, rows[0])
    same(apart[:count], real(whiten(values[:count], mask[:count]), rows[0][:count]))
    deviation = np.concatenate(rows[0][:count]).std()
    same(apart[count:], [each / (deviation if deviation > 1e-6 else 1.0) for each in rows[0][count:]])
    assert not found[~mask.bool()].any()
    assert not whiten_apart(torch.zeros_like(values), mask, judged, over)[~is_judged].any()


@given(ragged(3), st.integers(0, 4), st.floats(0.05, 0.5), st.floats(0.05, 3))
def test_the_clipped_loss(rows: list[Rows], extra: int, low: float, high: float) -> None:
    new, old, advantages = rows
    found = policy_loss(*(padded(each, extra) for each in rows), mask_of(new, extra), low, high)
    expected = sum(oracle_policy_loss(*each, low, high) for each in zip(*rows, strict=True))
    assert float(found.loss) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    ratios, signs = np.exp(np.concatenate(new) - np.concatenate(old)), np.concatenate(advantages)
    assert int(found.clipped) == int(((ratios > 1 + high) & (signs > 0) | (ratios < 1 - low) & (signs < 0)).sum())
    assert float(found.kl) == pytest.approx((ratios - 1 - np.log(ratios)).sum(), rel=1e-6, abs=1e-6)


@settings(max_examples=50)
@given(ragged(3))
def test_clipped_tokens_have_no_gradient_and_padding_never_has(rows: list[Rows]) -> None:
    new, old, advantages = (padded(each, 2, filler=0) for each in rows)
    mask = mask_of(rows[0], 2)
    new.requires_grad_()
    result = policy_loss(new, old, advantages, mask, 0.2, 0.2)
    result.loss.backward()
    assert new.grad is not None
    ratio = (new - old).exp()
    clipped = (ratio > 1.2) & (advantages > 0) | (ratio < 0.8) & (advantages < 0)
    assert not new.grad[clipped | (mask == 0)].any()
    expected = torch.where(clipped | (mask == 0), 0.0, -ratio * advantages)
    torch.testing.assert_close(new.grad, expected.detach(), **CLOSE)


def test_at_ratio_one_the_gradient_is_that_of_the_policy_gradient() -> None:
    old = torch.randn(3, 4)
    new, advantages = old.clone().requires_grad_(), torch.randn(3, 4)
    result = policy_loss(new, old, advantages, torch.ones(3, 4), 0.2, 0.2)
    result.loss.backward()
    torch.testing.assert_close(new.grad, -advantages)
    assert float(result.kl) == float(result.clipped) == 0.0


@settings(max_examples=50)
@given(ragged(3), st.floats(0.05, 1))
def test_the_value_loss(rows: list[Rows], clip: float) -> None:
    new, old, returns = (np.concatenate(each) for each in rows)
    plain = 0.5 * (new - returns) ** 2
    clipped = 0.5 * (np.clip(new, old - clip, old + clip) - returns) ** 2
    tensors = [torch.tensor(each) for each in (new, old, returns)]
    np.testing.assert_allclose(value_loss(*tensors, clip=None), plain, **CLOSE)
    np.testing.assert_allclose(value_loss(*tensors, clip=clip), np.maximum(plain, clipped), **CLOSE)


def test_explained_variance() -> None:
    rng = np.random.default_rng(0)
    returns = rng.normal(size=200)
    errors = 0.5 * rng.normal(size=200)
    ones = torch.ones(200)
    found = explained_variance(moments(torch.tensor(returns), ones), moments(torch.tensor(errors), ones))
    assert float(found) == pytest.approx(1 - (errors**2).mean() / returns.var())
    for value in (1.0, 0.1, 0.95):
        equal = moments(torch.full((1000,), value, dtype=torch.float64), torch.ones(1000))
        assert explained_variance(equal, equal).isnan()


@settings(max_examples=30)
@given(ragged(4), st.integers(1, 5), st.integers(0, 2**31))
def test_neither_padding_nor_neighbours_count(rows: list[Rows], extra: int, seed: int) -> None:
    """Every response's numbers are those it has alone, whatever stands at its padding."""
    filler = float(np.random.default_rng(seed).normal() * 1e6)
    policy, reference, values, new = rows
    scores = torch.arange(len(policy), dtype=torch.float64)

    def numbers(at: slice, extra: int, filler: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        part = [padded(each[at], extra, filler) for each in (policy, reference, values, new)]
        mask = mask_of(policy[at], extra)
        rewards = token_rewards(scores[at], part[0], part[1], mask, 0.1)
        advantages = generalized_advantages(rewards, part[2], mask, 1.0, 0.95)
        return rewards, advantages, policy_loss(part[3], part[0], advantages, mask, 0.2, 0.2).loss

    rewards, advantages, loss = numbers(slice(None), extra, filler)
    alone = [numbers(slice(i, i + 1), 0, math.nan) for i in range(len(policy))]
    for i, (own_rewards, own_advantages, _) in enumerate(alone):
        width = own_rewards.shape[1]
        torch.testing.assert_close(rewards[i : i + 1, :width], own_rewards, **CLOSE)
        torch.testing.assert_close(advantages[i : i + 1, :width], own_advantages, **CLOSE)
    torch.testing.assert_close(loss, torch.stack([own for _, _, own in alone]).sum(), **CLOSE)


@pytest.mark.parametrize(("kl", "factor"), [(6.0, 1.0), (12.0, 1.2), (100.0, 1.2), (3.0, 0.8), (6.6, 1.1)])
def test_the_kl_coefficient_follows_the_kl(kl: float, factor: float) -> None:
    found = adapted_kl_coef(0.1, kl, target=6.0, horizon=1000, responses=100)
    assert found == pytest.approx(0.1 * (1 + (factor - 1) * 100 / 1000))
