"""What each part of a training step takes beside what stays: drawing a rollout, scoring it, an update, the critic.

Every function returns bytes at the peak of its part, on one process that holds the whole model.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import DynamicCache
from trl.kernels.chunked_logprob import TOKEN_CHUNK_SIZE
from trl.trainer.utils import _CHUNKED_LOGPROB_CHUNK_SIZE

from align.plan.traced import FakeModel, PeakMemory
from align.ppo.critic import Recording, Trunk, ValueHead, responses_at_once


@dataclass(frozen=True)
class Rows:
    """How large the batches are.

    Attributes:
        micro_batch: Sequences of a forward pass in an update; two for each pair of DPO.
        rollout: Responses of a process in a rollout; 0 without rollouts.
        prompt: Tokens of the longest prompt, those of its image included.
        answer: Tokens of the longest answer.
        pixels: The shape of an image's ``pixel_values``; ``None`` where the tower cannot be followed.
    """

    micro_batch: int
    rollout: int
    prompt: int
    answer: int
    pixels: tuple[int, ...] | None

    @property
    def length(self) -> int:
        """Tokens of the longest sequence."""
        return self.prompt + self.answer

    def inputs(self, count: int, length: int, images: bool = True) -> dict[str, Tensor]:
        """A batch of ``count`` sequences; the types are those of the processors."""
        ids = torch.zeros(count, length, dtype=torch.long)
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if images and self.pixels is not None:
            batch["pixel_values"] = torch.zeros(count, *self.pixels)
        return batch

    def batch_bytes(self) -> int:
        """A kept rollout: its images, and tokens with their masks, log-probabilities and advantages."""
        pixels = 0 if self.pixels is None else 4 * int(torch.Size(self.pixels).numel())
        return self.rollout * (pixels + 2 * 8 * self.prompt + (2 * 8 + 3 * 4) * self.answer)


@dataclass(frozen=True)
class Machine:
    """Where a run computes.

    Attributes:
        on_gpu: Whether on GPUs, where the fused head scores the answers' positions alone, by kernels.
        autocast: The type of its arithmetic, if it is not that of its numbers.
    """

    on_gpu: bool
    autocast: torch.dtype | None

    def arithmetic(self) -> AbstractContextManager[Any]:
        """The context of a scoring forward pass."""
        return torch.autocast("cpu", self.autocast) if self.autocast else nullcontext()


class _HeadOfGPUs(torch.autograd.Function):
    """What TRL's fused head keeps on a GPU, where its kernels work in the buffer of one tile."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor) -> Tensor:
        ctx.save_for_backward(hidden)
        _tile(hidden)
        return hidden.new_zeros(len(hidden), dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Tensor:
        (hidden,) = ctx.saved_tensors
        _tile(hidden)
        return torch.zeros_like(hidden, dtype=torch.float32).to(hidden.dtype)


def _tile(hidden: Tensor) -> Tensor:
    return hidden.new_empty(min(len(hidden), TOKEN_CHUNK_SIZE), _CHUNKED_LOGPROB_CHUNK_SIZE)


def _scored(fake: FakeModel, rows: Rows, batch: dict[str, Tensor], machine: Machine) -> Tensor:
    """Log-probabilities of the answers, summed."""
    with machine.arithmetic():
        if not machine.on_gpu:
            labels = batch["input_ids"]
            return fake.model(**batch, labels=labels, fused_lm_head=True).log_probs.sum()
        base = fake.model.get_base_model().base_model
        hidden = base(**batch, use_cache=False).last_hidden_state
        answers = hidden[:, -rows.answer - 1 : -1].reshape(-1, hidden.shape[-1])
        return _HeadOfGPUs.apply(answers).sum()


def _peak(fake: FakeModel, known: list[Tensor], part: Callable[[], Any]) -> int:
    with PeakMemory([*fake.tensors(), *known]) as memory:
        part()
    return memory.peak


def update(fake: FakeModel, rows: Rows, machine: Machine, method: str, accumulates: bool) -> int:
    """A forward and a backward pass, with the gradients; DPO's reference in between."""

    def step() -> None:
        batch = rows.inputs(rows.micro_batch, rows.length)
        loss = _scored(fake, rows, batch, machine)
        if method == "dpo":
            with torch.no_grad(), fake.model.disable_adapter():
                _scored(fake, rows, batch, machine)
        loss.backward()

    with fake.mode:
        for each in fake.trained():
            each.grad = torch.zeros_like(each) if accumulates else None
        kept = [each.grad for each in fake.trained() if each.grad is not None]
        peak = _peak(fake, kept, step)
        for each in fake.trained():
            each.grad = None
    return peak + sum(each.nbytes for each in kept)


def drawing(fake: FakeModel, rows: Rows) -> int:
    """A rollout, to its last token: all its responses at once, with their keys and values."""

    def draw() -> None:
        cache = DynamicCache(config=fake.model.config.get_text_config())
        forward = fake.model.get_base_model()
        forward(**rows.inputs(rows.rollout, rows.prompt), past_key_values=cache, use_cache=True, logits_to_keep=1)
        for number, layer in enumerate(cache.layers):
            # Those of linear attention do not grow, and some share another's.
            if isinstance(keys := getattr(layer, "keys", None), Tensor):
                shape = [*keys.shape[:-2], rows.answer - 1]
                more = [each.new_empty(*shape, each.shape[-1]) for each in (keys, layer.values)]
                cache.update(*more, number)
        last = {**rows.inputs(rows.rollout, 1, images=False), "past_key_values": cache, "use_cache": True}
        last["attention_mask"] = torch.ones(rows.rollout, rows.length, dtype=torch.long)
        forward(**last, logits_to_keep=1)

    with fake.mode, torch.no_grad():
        fake.model.eval()
        peak = _peak(fake, [], draw)
        fake.model.train()
    return peak


class _AllReal(Recording):
    """A recording of responses without padding: of shapes alone, nothing can be known of a mask's values."""

    def _tokens(self) -> int:
        return self._mask.numel()

    def _real(self, means: Tensor) -> Tensor:
        return means.flatten(0, 1).clone()


@dataclass(frozen=True)
class Scoring:
    """The peak of scoring a rollout, and what the critic's features take of it, which stay, and in which type."""

    peak: int
    features: int
    width: int


def scoring(fake: FakeModel, rows: Rows, machine: Machine, has_critic: bool) -> Scoring:
    """A rollout's log-probabilities, and for PPO the features of its responses and their values."""
    found: list[Tensor] = []
    with fake.mode, fake.shortened(), torch.no_grad():
        trunk = Trunk(fake.model) if has_critic else None
        head = ValueHead(trunk.width) if trunk is not None else None

        def score() -> None:
            mask = torch.ones(rows.rollout, rows.answer, dtype=torch.bool)
            with trunk.recording(mask, _AllReal) if trunk is not None else nullcontext() as recording:
                for _ in range(rows.rollout // rows.micro_batch):
                    _scored(fake, rows, rows.inputs(rows.micro_batch, rows.length), machine)
            if recording is not None and head is not None:
                found.append(recording.features)
                # As `Critic.values` does, a piece of the rollout at a time; the first is as large as any.
                count = min(rows.rollout, responses_at_once(rows.answer, recording.features.shape[1]))
                piece = recording.features.new_zeros(
                    count * rows.answer, recording.features.shape[1], dtype=torch.float32
                )
                head(piece.copy_(recording.features[: len(piece)].float()))

        peak = _peak(fake, list(head.parameters()) if head is not None else [], score)
    features = sum(each.nbytes for each in found)
    return Scoring(peak, features, trunk.width if trunk is not None else 0)


def critic_update(width: int, tokens: int) -> int:
    """An update of the value head on ``tokens`` tokens, without its gradients."""
    with FakeTensorMode():
        head = ValueHead(width)
        for each in head.parameters():
            each.grad = torch.zeros_like(each)
        known = [tensor for each in head.parameters() for tensor in (each.data, each.grad)]
        with PeakMemory([each for each in known if each is not None]) as memory:
            head(torch.zeros(tokens, width)).square().mean().backward()
    return memory.peak
