"""The mathematics of PPO, as pure functions of tensors.

Notation: B responses in a batch, T tokens in the longest one. Every tensor of shape (B, T) is about the generated tokens,
padded on the right; ``mask`` is 1 on a real token, 0 on padding, shape (B, T). What stands at a padded position never counts,
whatever it is: every function gives the same for a response alone, beside others, and padded further.

Sources: Schulman et al., "Proximal Policy Optimization Algorithms", 2017, arXiv 1707.06347 (PPO below); Schulman et al.,
"High-Dimensional Continuous Control Using Generalized Advantage Estimation", ICLR 2016, arXiv 1506.02438 (GAE); Ziegler et
al., "Fine-Tuning Language Models from Human Preferences", 2019, arXiv 1909.08593 (KL in the reward, adaptive KL); Yu et al.,
"DAPO", 2025, arXiv 2503.14476 (a higher upper clip); Schulman, "Approximating KL Divergence", 2020 (k1, k3).
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor

# A standard deviation that is nothing but rounding.
_ALIKE: Final = 1e-6


class Moments(NamedTuple):
    """Sums over real tokens, from which means and variances follow; sums of several processes add up.

    Attributes:
        tokens: The number of real tokens, shape ().
        total: The sum of the values, shape ().
        squares: The sum of their squares, shape ().
    """

    tokens: Tensor
    total: Tensor
    squares: Tensor


def _real(values: Tensor, mask: Tensor) -> Tensor:
    """``values`` with zeros at padding, NaN and infinities there included; shape (B, T)."""
    return torch.where(mask.bool(), values, torch.zeros((), dtype=values.dtype, device=values.device))


def moments(values: Tensor, mask: Tensor) -> Moments:
    """The moments of ``values`` (B, T) over real tokens, in float64: a variance is a small difference of large sums."""
    real = _real(values, mask).double()
    return Moments(mask.sum().double(), real.sum(), real.square().sum())


def whiten(values: Tensor, mask: Tensor, over: Moments | None = None, epsilon: float = 1e-8) -> Tensor:
    """``values`` (B, T) with mean 0 and variance 1 over real tokens, 0 at padding.

    Args:
        values: Shape (B, T).
        mask: Shape (B, T).
        over: The moments to whiten by, where the tokens of other processes count too; those of ``values`` otherwise.
        epsilon: Added to the standard deviation, so that equal values become 0.
    """
    mean, deviation = _spread(over or moments(values, mask))
    return _real((values - mean) / (deviation + epsilon), mask).to(values.dtype)


def _spread(over: Moments) -> tuple[Tensor, Tensor]:
    """The mean and the standard deviation, each of shape ()."""
    mean = over.total / over.tokens
    return mean, (over.squares / over.tokens - mean.square()).clamp_min(0).sqrt()


def whiten_apart(values: Tensor, mask: Tensor, judged: Tensor, over: Moments, epsilon: float = 1e-8) -> Tensor:
    """``values`` (B, T) with those of ``judged`` tokens whitened by their moments ``over``, and the others in their scale.

    The others earn the KL alone. Taken together with the scores of the judged, they would move their mean and shrink their
    spread; less the mean of the judged, each would be pushed up or down though its KL is 0. Divided by the same deviation,
    a nat of KL weighs as much in both.

    Args:
        values: Advantages, shape (B, T).
        mask: Shape (B, T).
        judged: ``mask`` without the responses that have no score, shape (B, T).
        over: The moments of the judged ones, of all processes.
        epsilon: As in `whiten`.
    """
    deviation = _spread(over)[1]
    # Of judged advantages that are all alike nothing is left, and no scale: the others stay as they are.
    scaled = _real(values / torch.where(deviation > _ALIKE, deviation, 1.0), mask).to(values.dtype)
    return torch.where(judged.bool(), whiten(values, judged, over, epsilon), scaled)


def token_rewards(scores: Tensor, policy: Tensor, reference: Tensor, mask: Tensor, kl_coef: float) -> Tensor:
    """What every token earns: the KL penalty, and on the last real token the response's score. Shape (B, T).

    The penalty is ``-kl_coef * (log policy - log reference)`` of the drawn token (k1): unbiased, and left to be negative
    where it is, because clamping it at 0 would pay for drift in one direction (Ziegler et al., eq. 2).

    Args:
        scores: Each response's score, shape (B,).
        policy: Log-probabilities of the drawn tokens under the policy that drew them, shape (B, T).
        reference: The same under the reference policy, shape (B, T).
        mask: Shape (B, T). A response without a real token earns nothing.
        kl_coef: The weight of the penalty.
    """
    rewards = _real(-kl_coef * (policy - reference), mask)
    is_last = (torch.cumsum(mask, dim=1) == mask.sum(dim=1, keepdim=True)) & mask.bool()
    return rewards + is_last * scores[:, None].to(rewards.dtype)


def generalized_advantages(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> Tensor:
    """Advantages by GAE (eq. 16), 0 at padding. Shape (B, T).

    Args:
        rewards: What each token earned, shape (B, T).
        values: The critic's value before each token is drawn, shape (B, T); after the last real one it is 0.
        mask: Shape (B, T), ones and then zeros in every row.
        gamma: The discount, 1 for responses of bounded length.
        lam: 1 for the least bias, 0 for the least variance; with 1, advantages plus values are the Monte-Carlo returns.
    """
    rewards, values = _real(rewards, mask), _real(values, mask)
    advantages = torch.zeros_like(rewards)
    advantage = torch.zeros_like(rewards[:, 0])
    following = torch.zeros_like(advantage)
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + gamma * following - values[:, t]
        advantage = (delta + gamma * lam * advantage) * mask[:, t]
        advantages[:, t] = advantage
        following = values[:, t]
    return advantages


class PolicyLoss(NamedTuple):
    """The clipped policy loss with what says how the update went, each of shape ().

    Attributes:
        loss: The sum over real tokens of the clipped surrogate's negative: divide it by a number of tokens.
        clipped: How many real tokens the clip cut off from the gradient.
        kl: The sum over real tokens of the estimated KL of the old policy to the new one (k3: never negative).
    """

    loss: Tensor
    clipped: Tensor
    kl: Tensor


def policy_loss(
    new: Tensor, old: Tensor, advantages: Tensor, mask: Tensor, clip_low: float, clip_high: float
) -> PolicyLoss:
    """The clipped surrogate (PPO, eq. 7) with separate clips below and above (DAPO, eq. 10).

    Args:
        new: Log-probabilities of the drawn tokens under the policy that is trained, shape (B, T).
        old: The same under the policy that drew them, shape (B, T).
        advantages: Shape (B, T).
        mask: Shape (B, T).
        clip_low: The ratio counts from ``1 - clip_low`` on.
        clip_high: The ratio counts up to ``1 + clip_high``.
    """
    log_ratio = _real(new - old, mask)
    ratio = log_ratio.exp()
    plain = ratio * advantages
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high) * advantages
    cut = (clipped < plain).float()
    kl = (ratio - 1 - log_ratio).detach()
    return PolicyLoss(-_real(torch.minimum(plain, clipped), mask).sum(), _real(cut, mask).sum(), _real(kl, mask).sum())


def value_loss(new: Tensor, old: Tensor, returns: Tensor, clip: float | None) -> Tensor:
    """Half the squared error of the critic, token by token, in the shape given.

    With ``clip``, the larger of the errors of the value and of the value kept within ``clip`` of the old one (PPO's
    reference implementation, after Engstrom et al., ICLR 2020, arXiv 2005.12729): a pessimist's loss, as the policy's.
    """
    error = (new - returns).square()
    if clip is not None:
        within = old + (new - old).clamp(-clip, clip)
        error = torch.maximum(error, (within - returns).square())
    return 0.5 * error


def explained_variance(returns: Moments, errors: Moments) -> Tensor:
    """1 - the mean squared error of the values / the variance of the returns, shape (); nan for equal returns.

    Pooled: the moments of several batches added up. A mean of per-batch figures says nothing once some batch's returns
    hardly vary.
    """
    variance = returns.squares / returns.tokens - (returns.total / returns.tokens).square()
    # The sums of equal returns leave a variance of rounding errors.
    varies = variance > 1e-12 * returns.squares / returns.tokens
    return torch.where(varies, 1 - errors.squares / errors.tokens / variance, torch.nan)


def adapted_kl_coef(kl_coef: float, kl: float, target: float, horizon: float, responses: int) -> float:
    """The next KL coefficient of the adaptive controller (Ziegler et al., section 2.2).

    Args:
        kl_coef: The coefficient now.
        kl: The mean over responses of the KL to the reference, in nats a response.
        target: The KL to be held, in nats a response.
        horizon: Responses over which a constant error of 20 % changes the coefficient by some 22 %.
        responses: How many responses ``kl`` was measured on.
    """
    error = min(max(kl / target - 1, -0.2), 0.2)
    return kl_coef * (1 + error * responses / horizon)
