"""The critic: a small value head over the trunk's features, trained by itself on the last rollouts.

It has an optimiser of its own: as a term of the policy's loss it would need the policy's learning rate and its few passes,
and then explains next to nothing. Its gradient does not reach the trunk.
"""

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from align.ppo.config import PPOConfig
from align.ppo.maths import Moments, explained_variance, moments, value_loss

HEAD_FILE: Final = "value_head.safetensors"
CRITIC_FILE: Final = "critic_state.pt"
# Updates of the first training are worth several rollouts': the critic starts from nothing.
_FIRST: Final = 5
# Rollouts that explained variance is pooled over: once nearly every answer is right, few of them hold a wrong one to explain.
_POOLED: Final = 40


class ValueHead(nn.Module):
    """Two layers with tanh between them; its values begin at 0."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width // 2)
        self.value = nn.Linear(width // 2, 1)
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.value.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Values, shape (...), of features of shape (..., width), in the head's own precision."""
        return self.value(torch.tanh(self.hidden(features.to(self.value.weight.dtype)))).squeeze(-1)


@dataclass
class _Seen:
    """The real tokens of one rollout, of all processes: features (N, width), returns (N,), values at the time (N,)."""

    features: Tensor
    returns: Tensor
    values: Tensor


class Critic:
    """The value head, its optimiser, and the rollouts that it is trained on.

    The same on every process: all see the tokens of all processes, in the same order, and draw the same minibatches.

    Args:
        width: Of the features.
        args: The settings of PPO.
        device: Where it computes.
    """

    def __init__(self, width: int, args: PPOConfig, device: torch.device) -> None:
        self._args = args
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(args.seed)
            self.head = ValueHead(width).to(device)
        self._optimizer = torch.optim.Adam(self.head.parameters(), lr=args.critic_learning_rate)
        self._replay: deque[_Seen] = deque(maxlen=args.critic_replay)
        self._measured: deque[tuple[Moments, Moments]] = deque(maxlen=_POOLED)

    @torch.no_grad()
    def values(self, features: Tensor) -> Tensor:
        """Values, shape (B, T), of features of shape (B, T, width)."""
        return self.head(features)

    def learn(self, features: Tensor, returns: Tensor, values: Tensor, rollout: int) -> float:
        """Take in a rollout's real tokens, and train on the latest ones.

        Args:
            features: Shape (N, width).
            returns: What the values should have been, shape (N,).
            values: What they were, shape (N,).
            rollout: Its number, from 0 on; seeds the minibatches.

        Returns:
            The mean loss over the updates; 0 without any.
        """
        seen = torch.ones_like(returns)
        self._measured.append((moments(returns, seen), moments(returns - values, seen)))
        self._replay.append(_Seen(features, returns, values))
        generator = torch.Generator().manual_seed(self._args.seed * 1_000_003 + rollout)
        total = 0.0
        steps = self._args.critic_steps * (_FIRST if rollout == 0 else 1)
        with torch.enable_grad():
            for _ in range(steps):
                inputs, targets, before = self._minibatch(generator)
                loss = value_loss(self.head(inputs), before, targets, self._args.cliprange_value).mean()
                self._optimizer.zero_grad()
                loss.backward()
                self._optimizer.step()
                total += loss.item()
        return total / steps if steps else 0.0

    def _minibatch(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Features, returns and values of tokens drawn from all that are kept, without a copy of the rest."""
        lengths = torch.tensor([len(seen.returns) for seen in self._replay])
        ends = lengths.cumsum(0)
        # Sorted, so that each rollout's are taken together; in a mean their order is of no account.
        chosen = torch.randint(int(ends[-1]), (self._args.critic_batch,), generator=generator).sort().values
        counts = torch.bincount(torch.bucketize(chosen, ends, right=True), minlength=len(ends)).tolist()
        places = (chosen - (ends - lengths).repeat_interleave(torch.tensor(counts))).split(counts)
        drawn = [
            (seen.features[at], seen.returns[at], seen.values[at])
            for seen, place in zip(self._replay, places, strict=True)
            for at in [place.to(seen.returns.device)]
        ]
        inputs, targets, before = (torch.cat(parts) for parts in zip(*drawn, strict=True))
        return inputs, targets, before

    def explained_variance(self) -> float:
        """The share of the returns' variance that the values explained, pooled over the latest rollouts, as they came."""
        returns, errors = (
            Moments(*(torch.stack(parts).sum(0) for parts in zip(*measured, strict=True)))
            for measured in zip(*self._measured, strict=True)
        )
        return float(explained_variance(returns, errors))

    def save(self, folder: Path) -> None:
        """Write the head, and what a resumed run needs beside it."""
        self.save_head(folder)
        state = {
            "optimizer": self._optimizer.state_dict(),
            "replay": [(seen.features, seen.returns, seen.values) for seen in self._replay],
            "measured": [(tuple(returns), tuple(errors)) for returns, errors in self._measured],
        }
        torch.save(state, folder / CRITIC_FILE)

    def save_head(self, folder: Path) -> None:
        """Write the head alone."""
        save_file(self.head.state_dict(), folder / HEAD_FILE)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        device = next(self.head.parameters()).device
        self.head.load_state_dict(load_file(folder / HEAD_FILE, device=str(device)))
        state = torch.load(folder / CRITIC_FILE, map_location=device, weights_only=True)
        self._optimizer.load_state_dict(state["optimizer"])
        self._replay.extend(_Seen(*seen) for seen in state["replay"])
        self._measured.extend((Moments(*returns), Moments(*errors)) for returns, errors in state["measured"])
