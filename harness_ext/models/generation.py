"""How an answer is generated: the settings a task asks for, and sampling that does not depend on the batch.

lmms-eval seeds the random generators once a run, so that an answer depends on what was asked before. Here every answer has a
generator of its own, seeded by the run's seed and the request's identity. Scores that are NaN or infinite would become an
empty answer, or end a sampled run on a GPU. Here such an answer fails, and its neighbours in the batch stay as they are.
"""

import hashlib
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, TypeVar

import torch
from pydantic import Field, StrictBool, TypeAdapter, ValidationError
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from harness_ext.common.errors import UserError
from harness_ext.common.failures import failure_reason, mark_failed
from harness_ext.common.options import problem

# Keys of other tasks that say how an image was once tiled or which modality is meant; our processor decides both.
_WITHOUT_EFFECT: Final = {"image_aspect_ratio", "modalities"}
# lmms-eval adds this stop string to every task that names none; it would cut answers at their first paragraph.
_HARNESS_DEFAULT_UNTIL: Final = ["\n\n"]
NOT_FINITE: Final = (
    "the model's scores are no distribution (NaN or infinite): its weights or its adapter hold such values, or its dtype "
    "overflows; another dtype may help"
)
_NEVER: Final = 2**31 - 1
# What one bad request can raise: an unreadable image, a prompt too long, memory. Anything else is a fault of the program.
REQUEST_ERRORS: Final = (OSError, ValueError, RuntimeError)

_Item = TypeVar("_Item")

_Count = Annotated[int, Field(ge=1)]
_Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Generated(str):
    """An answer of which it is known how it ended.

    Attributes:
        cut_short: Whether it ended because ``max_new_tokens`` was used up, and not where the model or the task ends it.
    """

    cut_short: bool

    def __new__(cls, text: str, cut_short: bool) -> "Generated":
        """``text`` with how it ended."""
        answer = super().__new__(cls, text)
        answer.cut_short = cut_short
        return answer


@dataclass(frozen=True)
class GenerationSettings:
    """What a task asks of generation; hashable, so that requests with the same settings share batches.

    Attributes:
        max_new_tokens: The most tokens an answer may have.
        do_sample: Sample (``temperature``, ``top_p``, ``top_k``) rather than take the likeliest token.
        num_beams: Beams of a beam search; 1 for none.
        repetition_penalty: As in transformers; ``None`` leaves it to the checkpoint's own generation settings.
        until: An answer ends before the first of these strings.
        likelihood: Nothing is generated: the row's candidates are scored, see ``harness_ext.models.likelihood``.
    """

    max_new_tokens: _Count = 512
    do_sample: StrictBool = False
    temperature: _Number = 1.0
    top_p: Annotated[_Number, Field(le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    num_beams: _Count = 1
    repetition_penalty: _Number | None = None
    until: tuple[str, ...] = ()
    likelihood: StrictBool = False

    @classmethod
    def from_task(cls, values: Mapping[str, Any]) -> "GenerationSettings":
        """Read a task's ``generation_kwargs``.

        Without ``do_sample: true`` an answer is greedy, whatever temperature is named: tasks of lmms-eval name one beside
        ``do_sample: false``. Raises ``UserError`` for an unknown key and for an invalid value.
        """
        if unknown := sorted(values.keys() - cls.__dataclass_fields__.keys() - _WITHOUT_EFFECT):
            allowed = ", ".join(sorted(cls.__dataclass_fields__))
            raise UserError(f"unknown generation settings: {', '.join(unknown)}; known are {allowed}")
        known = {key: value for key, value in values.items() if value is not None and key not in _WITHOUT_EFFECT}
        until = known.pop("until", None) or []
        stops = [until] if isinstance(until, str) else list(until)
        if "" in stops:
            raise UserError(
                "generation setting until holds an empty text, at which every answer would end before it began"
            )
        try:
            settings = _SETTINGS.validate_python({**known, "until": () if stops == _HARNESS_DEFAULT_UNTIL else stops})
        except ValidationError as error:
            raise UserError(f"generation setting {problem(error)}") from error
        if settings.temperature == 0:
            return replace(settings, do_sample=False, temperature=1.0)
        if settings.do_sample and settings.num_beams > 1:
            raise UserError("sampling with beams is not supported: set num_beams to 1, or do_sample to false")
        return settings

    def to_generate(self) -> dict[str, Any]:
        """Keyword arguments of ``generate``; sampling is not among them, see :func:`seeded_sampling`."""
        arguments: dict[str, Any] = {
            "max_new_tokens": self.max_new_tokens,
            "num_beams": self.num_beams,
            "do_sample": False,
            # The checkpoint may hold some, and greedy search warns of them.
            "temperature": None,
            "top_p": None,
            "top_k": None,
            # A checkpoint's settings can ask for it: scores that are not finite would become an answer.
            "remove_invalid_values": False,
        }
        if self.repetition_penalty is not None:
            arguments["repetition_penalty"] = self.repetition_penalty
        return arguments

    def cut(self, answer: str, ended: bool | None = None) -> str:
        """``answer`` up to the first stop string; a :class:`Generated` one where it is known whether it ``ended``."""
        text = answer[: min((at for stop in self.until if (at := answer.find(stop)) >= 0), default=len(answer))]
        return text if ended is None else Generated(text, not ended and len(text) == len(answer))


_SETTINGS: Final = TypeAdapter(GenerationSettings)


def by_halves(ask: Callable[[Sequence[_Item]], list[str]], batch: Sequence[_Item]) -> list[str]:
    """What ``ask`` answers to ``batch``, or to its halves where it raises one of ``REQUEST_ERRORS`` (memory, mostly).

    An item that fails by itself is answered by its failure, marked.
    """
    try:
        return ask(batch)
    except REQUEST_ERRORS as error:
        reason = failure_reason(error)
    # Only now: the error held the tensors of the attempt.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if len(batch) == 1:
        return [mark_failed(reason)]
    middle = len(batch) // 2
    return by_halves(ask, batch[:middle]) + by_halves(ask, batch[middle:])


def ending_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that end what ``model`` generates, one at least."""
    named = model.generation_config.eos_token_id
    if named is None:
        named = tokenizer.pad_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    return named if isinstance(named, list) else [named]


def came_to_an_end(tokens: torch.Tensor, ends: Sequence[int]) -> list[bool]:
    """Whether each of B rows of new tokens, shape (B, T), holds one that ends a text."""
    return [not set(ends).isdisjoint(row) for row in tokens.tolist()]


def seeded_sampling(settings: GenerationSettings, seeds: list[int]) -> LogitsProcessorList:
    """Logits processors that make greedy search over a batch a seeded sample of each of its rows.

    Args:
        settings: Temperature, top-p and top-k.
        seeds: One seed a row, shape (B,).
    """
    processors = LogitsProcessorList([TemperatureLogitsWarper(settings.temperature)])
    if settings.top_k > 0:
        processors.append(TopKLogitsWarper(settings.top_k))
    if settings.top_p < 1.0:
        processors.append(TopPLogitsWarper(settings.top_p))
    processors.append(_GumbelNoise(seeds))
    return processors


def request_seed(seed: int, *identity: object) -> int:
    """A seed of 63 bits for one answer, from the run's seed and what identifies the request."""
    text = repr((seed, *identity)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


class _GumbelNoise(LogitsProcessor):
    """Adds Gumbel noise of each row's own generator: the largest sum is a sample of the softmax (Gumbel, 1954)."""

    def __init__(self, seeds: list[int]) -> None:
        # Drawn on the CPU, so that a seed means the same sample on every device.
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Noisy scores, shape (B, V) as given, in float32."""
        uniform = torch.stack(
            [torch.rand(scores.shape[1], generator=generator, dtype=torch.float64) for generator in self._generators]
        )
        if scores.is_cuda:
            # The logarithms are most of the work: a GPU takes them in no time, a CPU in as long as a small model's pass.
            uniform = uniform.to(scores.device)
        gumbel = -torch.log(-torch.log(uniform.clamp_min(torch.finfo(torch.float64).tiny)))
        return scores.float() + gumbel.to(scores.device, torch.float32)  # type: ignore[return-value]


def no_distributions(scores: torch.Tensor) -> torch.Tensor:
    """Which rows of scores, shape (…, V), hold NaN or +inf, or -inf alone; one -inf is a token that is ruled out."""
    # The largest of values among which there is a NaN is NaN.
    return ~scores.amax(-1).isfinite()


class RequireFinite(LogitsProcessor):
    """Raises ``ValueError`` at the first scores that are no distribution; for one answer at a time."""

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Scores, shape (B, V), as given."""
        if no_distributions(scores).any():
            raise ValueError(NOT_FINITE)
        return scores


class WatchFinite(LogitsProcessor):
    """Lets a row end where its scores are no distribution, and remembers which; other rows' scores stay as they are.

    What it remembers stays on the device until it is asked: no step of decoding waits for it.

    Args:
        end: The token that such a row ends with.
    """

    def __init__(self, end: int) -> None:
        self._end, self._steps = end, 0
        self._first: torch.Tensor | None = None

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Scores, shape (B, V), in which a row without a distribution has ``end`` alone."""
        wrong = no_distributions(scores)
        now = torch.where(wrong, self._steps, _NEVER)
        self._first = now if self._first is None else torch.minimum(self._first, now)
        self._steps += 1
        watched = scores.masked_fill(wrong[:, None], -math.inf)
        watched[:, self._end] = torch.where(wrong, 0.0, watched[:, self._end])
        return watched  # type: ignore[return-value]

    def failed(self, tokens: torch.Tensor, ends: Collection[int]) -> list[bool]:
        """Which of B answers had no distribution at one of their tokens; in a beam search, one of their beams.

        Args:
            tokens: The new tokens, shape (B, T).
            ends: The tokens that end an answer; what follows them, while other rows continue, is not part of it.
        """
        if self._first is None:
            return [False] * len(tokens)
        first = self._first.view(len(tokens), -1).amin(1)
        over = torch.isin(tokens, torch.tensor(list(ends), device=tokens.device))
        last = torch.where(over.any(1), over.int().argmax(1), tokens.shape[1] - 1)
        return (first <= last).tolist()
