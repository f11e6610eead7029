"""How an answer is generated: sampling that does not depend on the batch, and scores that are watched.

lmms-eval seeds the random generators once a run, so that an answer depends on what was asked before. Here every answer has
noise of its own (``noise.py``), seeded by the run's seed and the request's identity. Scores that are NaN or infinite would
become an empty answer, or end a sampled run on a GPU. Here such an answer fails, and its neighbours in the batch stay as they
are.
"""

import hashlib
import math
from collections.abc import Callable, Collection, Sequence
from typing import Final, TypeVar

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedTokenizerBase,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from harness_ext.common.failures import failure_reason, mark_failed
from harness_ext.models.noise import GumbelNoise
from harness_ext.models.settings import GenerationSettings

NOT_FINITE: Final = (
    "the model's scores are no distribution (NaN or infinite): its weights or its adapter hold such values, or its dtype "
    "overflows; another dtype may help"
)
_NEVER: Final = 2**31 - 1
# What one bad request can raise: an unreadable image, a prompt too long, memory. Anything else is a fault of the program.
REQUEST_ERRORS: Final = (OSError, ValueError, RuntimeError)

_Item = TypeVar("_Item")


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


def ending_tokens(config: GenerationConfig, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that end what a model with the generation settings ``config`` says, one at least."""
    named = config.eos_token_id
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
    processors.append(GumbelNoise(seeds))
    return processors


def request_seed(seed: int, *identity: object) -> int:
    """A seed of 63 bits for one answer, from the run's seed and what identifies the request."""
    text = repr((seed, *identity)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


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
