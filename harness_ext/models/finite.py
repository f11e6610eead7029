"""Scores that are no distribution, where weights, an adapter or an overflow made them NaN or infinite.

Decoding would go on with them: greedily with a token that often decodes to an empty answer; sampled with an error that ends
the whole run on a GPU. Here such an answer is known to have failed, and its neighbours in the batch stay as they are.
"""

import math
from collections.abc import Collection
from typing import Final

import torch
from transformers import LogitsProcessor

NOT_FINITE: Final = (
    "the model's scores are no distribution (NaN or infinite): its weights or its adapter hold such values, or its dtype "
    "overflows; another dtype may help"
)
_NEVER: Final = 2**31 - 1


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
            ends: The tokens that end an answer: what a row is given after them, while others go on, is not part of it.
        """
        if self._first is None:
            return [False] * len(tokens)
        first = self._first.view(len(tokens), -1).amin(1)
        over = torch.isin(tokens, torch.tensor(list(ends), device=tokens.device))
        last = torch.where(over.any(1), over.int().argmax(1), tokens.shape[1] - 1)
        return (first <= last).tolist()
