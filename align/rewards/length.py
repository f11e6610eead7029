"""A reward for longer responses, bounded."""

from collections.abc import Sequence
from typing import Any

from align.rewards.signature import Reward
from harness_ext.errors import UserError


def length(*, cap: int = 64) -> Reward:
    """``min(tokens, cap) / cap``, from 0 to 1; the token that ends the response counts.

    Its weight is the most that length can ever pay: keep it well below what separates a right verdict from a wrong one.

    Args:
        cap: The number of tokens from which on more earn nothing.

    Raises:
        UserError: ``cap`` is less than 1.
    """
    if cap < 1:
        raise UserError(f"cap: expected at least 1 token, found {cap}")

    def reward(completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float]:
        return [min(len(ids), cap) / cap for ids in completion_ids]

    return reward
