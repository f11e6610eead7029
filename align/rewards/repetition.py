"""A penalty for saying the same again."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from align.rewards.signature import Reward
from harness_ext.errors import UserError


def repetition(*, n: int = 3) -> Reward:
    """Minus the share of a response's n-grams of tokens that occurred in it before: 0 for none, towards -1 for all.

    A response of fewer than ``n`` tokens has none, and earns 0. The same measure as in "Demystifying Long Chain-of-Thought
    Reasoning in LLMs", arXiv 2502.03373, appendix C.2.

    Args:
        n: Tokens in an n-gram.

    Raises:
        UserError: ``n`` is less than 1.
    """
    if n < 1:
        raise UserError(f"n: expected n-grams of at least 1 token, found {n}")

    def reward(completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float]:
        return [-_repeated(ids, n) for ids in completion_ids]

    return reward


def _repeated(ids: Sequence[int], n: int) -> float:
    ngrams = list(zip(*(islice(ids, start, None) for start in range(n)), strict=False))
    return 1 - len(set(ngrams)) / len(ngrams) if ngrams else 0.0
