"""The ways to run a recipe on GPUs, and what each of them needs on every GPU.

The parts of a training step are followed on fake tensors (`phases.py`), on a process that holds the whole model. How FSDP2,
DeepSpeed's ZeRO and bitsandbytes spread or shrink the weights is worked out from their numbers, with their default buffers.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, TrainingArguments

from align.plan.phases import Machine, Rows, Scoring, critic_update, drawing, scoring, update
from align.plan.traced import FakeModel
from align.ppo.config import PPOConfig
from align.settings import WITH_ROLLOUTS, RunSettings

ONE: Final = "one GPU"
DDP: Final = "DDP"
ZERO2: Final = "ZeRO-2"
FSDP2: Final = "FSDP2"
ZERO3: Final = "ZeRO-3"
QLORA: Final = "QLoRA"
# The file of accelerate that starts it.
FILES: Final = {ZERO2: "zero2.yaml", FSDP2: "fsdp2.yaml", ZERO3: "zero3.yaml"}
# DeepSpeed's defaults, in numbers: `reduce_bucket_size` of gradients, and `stage3_max_live_parameters` of gathered weights.
_BUCKET: Final = 500_000_000
_LIVE: Final = 1_000_000_000
# Bytes of a weight in four bits with the scales of its blocks of 64, which are themselves of 8 bits in blocks of 256.
_FOUR_BITS: Final = 0.5 + 1 / 64 + 4 / (64 * 256)
# Optimisers by the bytes that their state takes of a trained number; others as AdamW, of twice the number's own.
_STATES: Final = {"sgd": 0, "adamw_8bit": 2, "adamw_bnb_8bit": 2, "paged_adamw_8bit": 2}


@dataclass(frozen=True)
class Need:
    """What a run needs on a GPU, in bytes.

    ``weights`` to ``buffers`` stay; the critic's part holds its replay, and buffers are a rollout's batches and those that an
    engine sends from. ``drawing``, ``scoring`` and ``update`` are the parts of a step that follow each other, of which the
    largest counts; an update's holds the ``gradients``.
    """

    way: str
    checkpointing: bool
    weights: int
    adapter: int
    optimiser: int
    critic: int
    buffers: int
    drawing: int
    scoring: int
    gradients: int
    update: int

    @property
    def peak(self) -> int:
        """The most at once."""
        stays = self.weights + self.adapter + self.optimiser + self.critic + self.buffers
        return stays + max(self.drawing, self.scoring, self.update)


def ways(gpus: int, on_gpu: bool) -> list[str]:
    """The ways to run on so many GPUs, the simplest first; without a GPU, as processes that each hold the whole model."""
    if not on_gpu:
        return [DDP if gpus > 1 else "one process"]
    return [ONE, QLORA] if gpus == 1 else [DDP, ZERO2, FSDP2, ZERO3, QLORA]


class Planner:
    """Works out what a run of ``settings`` needs, with ``config``'s model and the longest ``rows``, on ``gpus`` GPUs."""

    def __init__(
        self, settings: RunSettings, config: PretrainedConfig, rows: Rows, machine: Machine, gpus: int
    ) -> None:
        self._settings, self._config, self._rows = settings, config, rows
        self._machine, self._gpus = machine, gpus
        self._rollouts: dict[torch.dtype | None, tuple[int, Scoring | None]] = {}
        self._whole: dict[tuple[bool, torch.dtype | None], tuple[Need, _Sizes]] = {}

    def needs(self) -> Iterator[Need]:
        """Each way without and with gradient checkpointing, in the order in which they are to be taken."""
        in_4_bits = self._settings.model.load_in_4bit
        for way in [QLORA] if in_4_bits else ways(self._gpus, self._machine.on_gpu):
            for checkpointing in (False, True):
                yield self.need(way, checkpointing)

    def need(self, way: str, checkpointing: bool) -> Need:
        """What ``way`` needs."""
        in_16_bits = way in (ZERO2, ZERO3) and self._machine.autocast is not None
        adapter = self._machine.autocast if in_16_bits else None
        key = checkpointing, adapter
        if key not in self._whole:
            given, method = self._settings.model, self._settings.method
            fake = FakeModel(self._config, given, method, checkpointing, adapter, self._machine.on_gpu)
            if adapter not in self._rollouts:
                self._rollouts[adapter] = self._rollout(fake)
            self._whole[key] = self._traced(fake, checkpointing, *self._rollouts[adapter]), _sizes(fake, self._machine)
        whole, sizes = self._whole[key]
        return _SPREAD.get(way, _whole)(replace(whole, way=way), sizes, self._gpus)

    def _rollout(self, fake: FakeModel) -> tuple[int, Scoring | None]:
        """Drawing and scoring a rollout, in which nothing is kept to be recomputed."""
        settings, args = self._settings, self._settings.arguments
        if settings.method not in WITH_ROLLOUTS:
            return 0, None
        drawn = 0 if getattr(args, "use_vllm", False) else drawing(fake, self._rows)
        scored = scoring(fake, self._rows, self._machine, isinstance(args, PPOConfig))
        if isinstance(args, PPOConfig):
            learning = scored.features + critic_update(scored.width, args.critic_batch)
            scored = replace(scored, peak=max(scored.peak, learning))
        return drawn, scored

    def _traced(self, fake: FakeModel, checkpointing: bool, drawn: int, scored: Scoring | None) -> Need:
        rows, args = self._rows, self._settings.arguments
        trained = sum(each.nbytes for each in fake.trained())
        changed = update(fake, rows, self._machine, self._settings.method, args.gradient_accumulation_steps > 1)
        critic = 0
        if scored is not None and isinstance(args, PPOConfig):
            critic = _critic(args, scored, rows, self._gpus)
            changed += scored.features  # stay until the next rollout
        return Need(
            way="",
            checkpointing=checkpointing,
            weights=sum(each.nbytes for each in fake.tensors()) - trained,
            adapter=trained,
            optimiser=_states(args, fake),
            critic=critic,
            # The next rollout is there before the last one is let go.
            buffers=2 * rows.batch_bytes(),
            drawing=drawn,
            scoring=scored.peak if scored is not None else 0,
            gradients=trained,
            update=changed,
        )


def _critic(args: PPOConfig, scored: Scoring, rows: Rows, gpus: int) -> int:
    """The critic: its head with gradient and Adam's two moments, and the replay of all processes' rollouts."""
    width = scored.width
    head = 4 * (width * (width // 2) + width // 2 + width // 2 + 1)
    rollouts = args.critic_replay
    if args.max_steps > 0:
        rollouts = min(rollouts, -(-args.max_steps // args.updates_per_rollout))
    # Beside each token's features, its return and its value.
    return (4 * head if args.critic_steps else head) + rollouts * gpus * (
        scored.features + rows.rollout * rows.answer * 8
    )


def _states(args: TrainingArguments, fake: FakeModel) -> int:
    name = str(getattr(args.optim, "value", args.optim))
    return sum(each.numel() * _STATES.get(name, 2 * each.element_size()) for each in fake.trained())


# --- how each way spreads it ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sizes:
    """Counts of numbers: trained; frozen in linear layers that four bits serve, in the largest of these, in the largest layer
    of the model, and outside its layers. ``linear_bytes`` is what the second takes; ``arithmetic``, bytes of a number in it.
    """

    trained: int
    linear: int
    largest: int
    layer: int
    rest: int
    linear_bytes: int
    arithmetic: int


def _sizes(fake: FakeModel, machine: Machine) -> _Sizes:
    base = fake.model.get_base_model()
    linear = [
        each.weight
        for each in base.get_decoder().modules()
        if isinstance(each, nn.Linear) and not each.weight.requires_grad
    ]
    kinds = base._no_split_modules or []
    layers = [_numbers(each.parameters()) for each in base.modules() if type(each).__name__ in kinds]
    return _Sizes(
        trained=_numbers(fake.trained()),
        linear=_numbers(linear),
        largest=max(each.numel() for each in linear),
        layer=max(layers, default=0),
        rest=_numbers(base.parameters()) - sum(layers),
        linear_bytes=sum(each.nbytes for each in linear),
        arithmetic=(machine.autocast or base.dtype).itemsize,
    )


def _numbers(weights: Iterable[Tensor]) -> int:
    return sum(each.numel() for each in weights)


def _whole(need: Need, sizes: _Sizes, gpus: int) -> Need:
    """Every process has everything; DDP sends gradients from buckets, which are as large as they."""
    return replace(need, buffers=need.buffers + (need.gradients if gpus > 1 else 0))


def _spread_gradients(need: Need, gpus: int) -> Need:
    part = need.gradients // gpus
    return replace(need, gradients=part, update=need.update - need.gradients + part)


def _zero2(need: Need, sizes: _Sizes, gpus: int) -> Need:
    """Gradients and Adam's two moments are spread, with a float32 copy of what is trained."""
    bucket = _BUCKET * sizes.arithmetic
    return replace(_spread_gradients(need, gpus), optimiser=12 * sizes.trained // gpus, buffers=need.buffers + bucket)


def _zero3(need: Need, sizes: _Sizes, gpus: int) -> Need:
    """As ZeRO-2, and the weights: so many of them are gathered at a time, and a rollout gathers all."""
    every = need.weights + need.adapter
    live = min(every, _LIVE * sizes.arithmetic)
    spread = _zero2(need, sizes, gpus)
    return replace(
        spread,
        weights=need.weights // gpus,
        adapter=need.adapter // gpus,
        buffers=spread.buffers + live,
        drawing=need.drawing + every - live if need.drawing else 0,
    )


def _fsdp2(need: Need, sizes: _Sizes, gpus: int) -> Need:
    """All is spread; weights outside the layers stay gathered, and two layers are at a time."""
    return replace(
        _spread_gradients(need, gpus),
        weights=need.weights // gpus,
        adapter=need.adapter // gpus,
        optimiser=need.optimiser // gpus,
        buffers=need.buffers + (sizes.rest + 2 * sizes.layer) * sizes.arithmetic,
    )


def _qlora(need: Need, sizes: _Sizes, gpus: int) -> Need:
    """The language model's linear layers have four bits; one at a time is made whole for its arithmetic."""
    whole = _whole(need, sizes, gpus)
    return replace(
        whole,
        weights=need.weights - sizes.linear_bytes + int(sizes.linear * _FOUR_BITS),
        buffers=whole.buffers + sizes.largest * sizes.arithmetic,
    )


_SPREAD: Final = {ZERO2: _zero2, FSDP2: _fsdp2, ZERO3: _zero3, QLORA: _qlora}
