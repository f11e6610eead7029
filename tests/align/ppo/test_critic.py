"""The critic by itself, on features whose values are known."""

import pytest
import torch
from torch import Tensor

from align.ppo import critic as critics
from align.ppo.config import PPOConfig
from align.ppo.critic import Critic

WIDTH = 6


def critic(**changed: object) -> Critic:
    values = {"output_dir": "unused", "per_device_train_batch_size": 2, "use_cpu": True, "bf16": False, **changed}
    return Critic(WIDTH, PPOConfig(**values), torch.device("cpu"))


def rollout(number: int, tokens: int = 50) -> tuple[Tensor, Tensor]:
    """Features, and returns that are a function of them with noise of a variance of a fourth of it."""
    generator = torch.Generator().manual_seed(number)
    features = torch.randn(tokens, WIDTH, generator=generator)
    return features, features[:, 0] + 0.5 * torch.randn(tokens, generator=generator)


def test_minibatches_are_drawn_from_all_kept_rollouts_alike() -> None:
    """Every drawn token comes with its own return and value, each kept token as often as any other."""
    learner = critic(critic_steps=0, critic_replay=3, critic_batch=4_000)
    lengths = [7, 40, 1, 20]
    for number, tokens in enumerate(lengths):
        tag = torch.arange(tokens) + 100.0 * number
        learner.learn(tag[:, None].expand(-1, WIDTH), tag + 0.25, tag + 0.5, number)
    features, returns, values = learner._minibatch(torch.Generator().manual_seed(0))
    assert features.shape == (4_000, WIDTH)
    assert torch.equal(features[:, 0] + 0.25, returns) and torch.equal(features[:, 0] + 0.5, values)
    tokens, counts = features[:, 0].unique(return_counts=True)
    kept = [100 * number + at for number in (1, 2, 3) for at in range(lengths[number])]  # the first one was let go
    assert tokens.tolist() == kept
    assert counts.float().mean() == pytest.approx(4_000 / 61) and counts.min() > 30 and counts.max() < 110


def test_explained_variance_is_pooled_over_the_rollouts_as_they_came() -> None:
    """Against the variance of all returns about their common mean, by the values from before each training."""
    learner = critic(critic_batch=64)
    returns, errors = [], []
    for number in range(30):
        features, of_these = rollout(number)
        values = learner.values(features, torch.ones(1, len(features)))[0]
        learner.learn(features, of_these, values, number)
        returns.append(of_these)
        errors.append(of_these - values)
    expected = 1 - torch.cat(errors).square().mean() / torch.cat(returns).var(correction=0)
    assert learner.explained_variance() == pytest.approx(float(expected), abs=1e-5)
    late = torch.cat(errors[-5:]).var() / torch.cat(returns[-5:]).var()
    assert 0.1 < late < 0.4  # a fifth of the variance is noise


def test_a_response_has_the_values_of_its_own_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """In pieces too, and of responses without a token."""
    learner = critic()
    torch.nn.init.normal_(learner.head.value.weight)
    mask = torch.arange(5)[None] < torch.tensor([3, 0, 5, 1, 4])[:, None]
    features, _ = rollout(0, tokens=13)
    whole = learner.values(features, mask)
    assert torch.equal(whole[mask], learner.head(features))
    monkeypatch.setattr(critics, "_PIECE", 2 * 5 * WIDTH)
    torch.testing.assert_close(learner.values(features, mask)[mask], whole[mask])


def test_features_in_bfloat16_explain_as_much() -> None:
    explained = []
    for precision in (torch.float32, torch.bfloat16):
        learner = critic(critic_batch=64)
        for number in range(30):
            features, returns = rollout(number)
            values = learner.values(features.to(precision), torch.ones(1, 50))[0]
            learner.learn(features.to(precision), returns, values, number)
        explained.append(learner.explained_variance())
        assert learner._replay[0].features.dtype == precision
    assert explained[1] == pytest.approx(explained[0], abs=0.01)
