"""What the tokens of a rollout are credited with: the KL in the reward, the critic's baseline, advantages."""

from math import isfinite
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor

from align.ppo.config import PPOConfig
from align.ppo.critic import Critic
from align.ppo.maths import Moments, adapted_kl_coef, generalized_advantages, moments, token_rewards, whiten_apart

PPO_FILE: Final = "ppo_state.pt"


class Scored(NamedTuple):
    """A rollout's responses of this process: B of them, T tokens in the longest.

    Attributes:
        scores: Each response's score, shape (B,).
        policy: Log-probabilities of the drawn tokens under the policy that drew them, shape (B, T).
        reference: The same under the reference, shape (B, T).
        mask: 1 on a real token, 0 on padding, shape (B, T).
        features: What the critic reads before each of the N real tokens, response by response, shape (N, width).
        judged: Which responses have a score, shape (B,); the others are anchors, with a score of 0.
    """

    scores: Tensor
    policy: Tensor
    reference: Tensor
    mask: Tensor
    features: Tensor
    judged: Tensor

    def broken(self) -> Tensor:
        """Which responses have a log-probability that is not a finite number, shape (B,)."""
        return (~(self.policy.isfinite() & self.reference.isfinite()) & self.mask.bool()).any(1)


class Credit:
    """Turns scores into advantages, and learns from them; every mean is taken over the real tokens of all processes.

    Attributes:
        critic: The critic.
        kl_coef: The weight of the KL in the reward, as it is now.
    """

    def __init__(self, critic: Critic, args: PPOConfig, accelerator: Accelerator) -> None:
        self.critic, self.kl_coef = critic, args.kl_coef
        self._args, self._accelerator = args, accelerator

    def kl(self, scored: Scored, judged: bool = True) -> float:
        """The KL to the reference in nats a response, estimated over all processes; of the anchors if not ``judged``.

        nan where there is no such response.
        """
        chosen = scored.judged if judged else ~scored.judged
        apart = torch.where(scored.mask.bool() & chosen[:, None], scored.policy - scored.reference, 0.0).sum()
        total = torch.stack([apart, chosen.sum().float()])
        total = self._accelerator.reduce(total, reduction="sum")
        return float(total[0] / total[1])

    def assign(self, scored: Scored, kl: float, rollout: int) -> tuple[Tensor, dict[str, float]]:
        """Advantages, and figures for the log; trains the critic and adapts the KL's weight.

        Anchors earn the KL alone, which no critic foresees: it counts from 0, in the scale of the others' advantages. Critic
        and whitening do without them.

        Args:
            scored: The rollout.
            kl: Its KL to the reference, from `kl`.
            rollout: Its number, from 0 on; seeds the critic's minibatches.

        Returns:
            Advantages of shape (B, T), 0 at padding, and the figures by name.
        """
        args, mask = self._args, scored.mask
        judged = mask * scored.judged[:, None]
        values = torch.where(scored.judged[:, None], self.critic.values(scored.features, mask), 0.0)
        rewards = token_rewards(scored.scores, scored.policy, scored.reference, mask, self.kl_coef)
        advantages = generalized_advantages(rewards, values, mask, args.gamma, args.lam)
        returns = generalized_advantages(rewards, values, mask, args.gamma, args.critic_lam) + values
        if args.whiten_advantages:
            over = Moments(*self._accelerator.reduce(torch.stack(moments(advantages, judged)), reduction="sum"))
            advantages = whiten_apart(advantages, mask, judged, over)
        tokens = judged.bool()
        # Nothing is copied where there are no anchors.
        features = scored.features if bool(scored.judged.all()) else scored.features[tokens[mask.bool()]]
        figures = self._train_critic(features, returns[tokens], values[tokens], rollout) | {"ppo/kl": kl}
        if args.kl_target is not None:
            figures["ppo/kl_coef"] = self.kl_coef
            count = int(scored.judged.sum()) * self._accelerator.num_processes
            self.kl_coef = adapted_kl_coef(self.kl_coef, kl, args.kl_target, args.kl_horizon, count)
        return advantages, figures

    def _train_critic(self, features: Tensor, returns: Tensor, values: Tensor, rollout: int) -> dict[str, float]:
        features, returns, values = (self._gathered(part) for part in (features, returns, values))
        loss = self.critic.learn(features, returns, values, rollout)
        figures = {"ppo/value_loss": loss, "ppo/value": float(values.mean())}
        explained = self.critic.explained_variance()
        return figures | ({"ppo/explained_variance": explained} if isfinite(explained) else {})

    def _gathered(self, part: Tensor) -> Tensor:
        """The tokens of all processes, one process after the other: ``part`` (n, …) becomes (N, …)."""
        if self._accelerator.num_processes == 1:
            return part
        counts = self._accelerator.gather(torch.tensor([len(part)], device=part.device)).tolist()
        everywhere = self._accelerator.gather(self._accelerator.pad_across_processes(part))
        # The padding between them is closed in place: a second copy of a rollout's features would be large.
        end = 0
        for of_process, count in zip(everywhere.split(max(counts)), counts, strict=True):
            everywhere[end : end + count] = of_process[:count].clone()
            end += count
        return everywhere[:end]

    def save(self, folder: Path) -> None:
        """Write the critic and the KL's weight."""
        self.critic.save(folder)
        torch.save({"kl_coef": self.kl_coef}, folder / PPO_FILE)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        self.critic.load(folder)
        state: dict[str, Any] = torch.load(folder / PPO_FILE, weights_only=True)
        self.kl_coef = state["kl_coef"]
