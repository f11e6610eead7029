"""The critic: a small value head over hidden states of the policy's own forward pass, trained on the latest rollouts.

It costs no forward pass, and its gradient does not reach the policy. It has an optimiser of its own: as a term of the
policy's loss, with the policy's learning rate and few passes, it explains next to nothing.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from align.ppo.config import PPOConfig
from align.ppo.maths import Moments, explained_variance, moments, value_loss
from harness_ext.common.errors import UserError

HEAD_FILE: Final = "value_head.safetensors"
CRITIC_FILE: Final = "critic_state.pt"
# The first training takes the updates of as many rollouts: the critic starts from nothing.
_FIRST_TRAINING: Final = 5
# Rollouts that explained variance is pooled over: once nearly every answer is right, few of them hold a wrong one to explain.
_POOLED: Final = 40
# Numbers of features that are put into the head's own precision at a time: 64 MiB in float32.
_PIECE: Final = 2**24


def responses_at_once(tokens: int, width: int) -> int:
    """Of how many responses of ``tokens`` tokens, padding included, the critic computes the values at a time."""
    return max(1, _PIECE // (tokens * width))


class Trunk:
    """Taps the language model inside a PEFT model: the first layer's output and the last hidden state.

    A value depends on the answer so far *and* on the image. No single position of the hidden states shows both readily; the
    running mean over the response does, and the first layer, which still has the words, helps more than any later one.
    ``UserError`` is raised where the model has no decoder's stack of layers.
    """

    def __init__(self, model: PeftModel) -> None:
        decoder = _decoder(model)
        self.width: int = 2 * decoder.config.hidden_size
        self._recording: Recording | None = None
        self._adapted = next(module for module in model.modules() if isinstance(module, BaseTunerLayer))
        decoder.layers[0].register_forward_hook(self._keep_early)
        decoder.register_forward_hook(self._keep_late)

    @property
    def is_reference(self) -> bool:
        """Whether the adapter is off just now, so that the model is the reference."""
        return bool(self._adapted.disable_adapters)

    @contextmanager
    def recording(self, mask: Tensor, kind: "type[Recording] | None" = None) -> Iterator["Recording"]:
        """Keep the features of the responses that the forward passes within score; ``mask`` is theirs, shape (B, T)."""
        self._recording = (kind or Recording)(mask, self.width)
        try:
            yield self._recording
        finally:
            self._recording = None

    def _keep_early(self, _: nn.Module, __: Any, output: Any) -> None:
        if self._recording is not None:
            self._recording.early(output[0] if isinstance(output, tuple) else output)

    def _keep_late(self, _: nn.Module, __: Any, output: Any) -> None:
        if self._recording is not None:
            self._recording.late(output.last_hidden_state)


class Recording:
    """The features of a rollout's responses, written in place pass by pass: at 7B they are large.

    Attributes:
        features: Before each of the N real tokens, response by response, shape (N, 2 H): the mean, over the positions from
            the prompt's last one on, of the two hidden states, each divided by its root mean square. Nothing at or after a
            token counts for its features. In the precision that the pass computes in.
    """

    def __init__(self, mask: Tensor, width: int) -> None:
        self._mask, self._width = mask.bool(), width
        self.features = torch.empty(0)
        self._early = torch.empty(0)
        self._rows = self._written = 0

    def early(self, states: Tensor) -> None:
        """Note the first layer's output, shape (b, S, H), of the next b responses."""
        self._early = self._means(states)

    def late(self, states: Tensor) -> None:
        """Write the features of these responses, whose last hidden states, shape (b, S, H), these are."""
        late, half = self._means(states), self._width // 2
        if self._rows == 0:
            kind = states.device.type
            precision = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else states.dtype
            self.features = torch.empty(self._tokens(), self._width, dtype=precision, device=states.device)
        end = self._written
        for means, columns in ((self._early, slice(half)), (late, slice(half, None))):
            kept = self._real(means)
            end = self._written + len(kept)
            self.features[self._written : end, columns] = kept
        self._rows, self._written, self._early = self._rows + len(states), end, torch.empty(0)

    def _tokens(self) -> int:
        """How many of all responses' tokens are real."""
        return int(self._mask.sum())

    def _real(self, means: Tensor) -> Tensor:
        """The rows of ``means``, shape (b, T, H), of the next b responses' real tokens, shape (n, H)."""
        return means[self._mask[self._rows : self._rows + len(means)]]

    def _means(self, states: Tensor) -> Tensor:
        """The running means of the normalised states, shape (b, T, H), in float32 at least."""
        tokens = self._mask.shape[1]
        states = states.detach()[:, -tokens - 1 : -1]
        states = states.to(torch.promote_types(states.dtype, torch.float32))
        count = torch.arange(1, tokens + 1, device=states.device)[None, :, None]
        return nn.functional.rms_norm(states, states.shape[-1:]).cumsum(1) / count


def _decoder(model: PeftModel) -> Any:
    """The language model's stack of layers. Raises ``UserError`` where there is none that is known here."""
    decoder = model.get_base_model().get_decoder()
    for stack in (decoder, decoder._modules.get("model")):  # some families name the whole language model
        if stack is not None and "layers" in stack._modules:
            return stack
    kind = type(model.get_base_model()).__name__
    raise UserError(f"PPO cannot train a {kind}: its critic reads the layers of a decoder, and there is no such stack")


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


class _Rollout(NamedTuple):
    """The real tokens of one rollout, of all processes: features (N, width), returns (N,), values at the time (N,)."""

    features: Tensor
    returns: Tensor
    values: Tensor


class Critic:
    """The value head, its optimiser, and the rollouts that it is trained on.

    It is the same on every process: all see the tokens of all processes, in the same order, and draw the same minibatches.
    """

    def __init__(self, width: int, args: PPOConfig, device: torch.device) -> None:
        self._args = args
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(args.seed)
            self.head = ValueHead(width).to(device)
        self._optimizer = torch.optim.Adam(self.head.parameters(), lr=args.critic_learning_rate)
        self._replay: deque[_Rollout] = deque(maxlen=args.critic_replay)
        self._measured: deque[tuple[Moments, Moments]] = deque(maxlen=_POOLED)

    @torch.no_grad()
    def values(self, features: Tensor, mask: Tensor) -> Tensor:
        """Values, shape (B, T) as ``mask``, of the features of its real tokens, shape (N, width); arbitrary at padding."""
        width, pieces = features.shape[1], mask.bool().split(responses_at_once(mask.shape[1], features.shape[1]))
        values = []
        for real, of_real in zip(pieces, features.split([int(piece.sum()) for piece in pieces]), strict=True):
            # With its padding: a product of matrices of another shape is rounded otherwise, and runs would not repeat.
            padded = features.new_zeros(*real.shape, width, dtype=self.head.value.weight.dtype)
            padded[real] = of_real.to(padded.dtype)
            values.append(self.head(padded))
        return torch.cat(values)

    def learn(self, features: Tensor, returns: Tensor, values: Tensor, rollout: int) -> float:
        """Add a rollout's real tokens, and train on the latest rollouts.

        Args:
            features: Shape (N, width).
            returns: The values' targets, shape (N,).
            values: The values at the time, shape (N,).
            rollout: The rollout's number, from 0 on; seeds the minibatches.

        Returns:
            The mean loss over the updates; 0 without any.
        """
        seen = torch.ones_like(returns)
        self._measured.append((moments(returns, seen), moments(returns - values, seen)))
        self._replay.append(_Rollout(features, returns, values))
        generator = torch.Generator().manual_seed(self._args.seed * 1_000_003 + rollout)
        total = 0.0
        steps = self._args.critic_steps * (_FIRST_TRAINING if rollout == 0 else 1)
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
        device = self._replay[0].returns.device
        drawn = [[part[at.to(device)] for part in seen] for seen, at in zip(self._replay, places, strict=True)]
        inputs, targets, before = (torch.cat(parts) for parts in zip(*drawn, strict=True))
        return inputs, targets, before

    def explained_variance(self) -> float:
        """The share of the returns' variance that the values of the time explained, pooled over the latest rollouts."""
        returns, errors = (
            Moments(*(torch.stack(parts).sum(0) for parts in zip(*measured, strict=True)))
            for measured in zip(*self._measured, strict=True)
        )
        return float(explained_variance(returns, errors))

    def save(self, folder: Path) -> None:
        """Write the head, the optimiser's state and the replayed rollouts."""
        save_file(self.head.state_dict(), folder / HEAD_FILE)
        state = {
            "optimizer": self._optimizer.state_dict(),
            "replay": [tuple(seen) for seen in self._replay],
            "measured": [(tuple(returns), tuple(errors)) for returns, errors in self._measured],
        }
        torch.save(state, folder / CRITIC_FILE)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        device = next(self.head.parameters()).device
        self.head.load_state_dict(load_file(folder / HEAD_FILE, device=str(device)))
        state = torch.load(folder / CRITIC_FILE, map_location=device, weights_only=True)
        self._optimizer.load_state_dict(state["optimizer"])
        self._replay.extend(_Rollout(*seen) for seen in state["replay"])
        self._measured.extend((Moments(*returns), Moments(*errors)) for returns, errors in state["measured"])
