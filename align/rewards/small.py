"""The rewards that need no judge: for length, against repetition, and one that is easily fooled."""

import re
from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from align.rewards.base import Reward, responses


def length(*, cap: Annotated[int, Field(ge=1)] = 64) -> Reward:
    """``min(tokens, cap) / cap``, from 0 to 1; the token that ends the response counts.

    Its weight is the most that length can ever pay: keep it well below the difference between a right and a wrong verdict.
    """

    def reward(completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float]:
        return [min(len(ids), cap) / cap for ids in completion_ids]

    return reward


def repetition(*, n: Annotated[int, Field(ge=1)] = 3) -> Reward:
    """Minus the share of a response's n-grams of tokens that occurred in it before: 0 for none, towards -1 for all.

    A response of fewer than ``n`` tokens has none, and earns 0. The same measure as in "Demystifying Long Chain-of-Thought
    Reasoning in LLMs", arXiv 2502.03373, appendix C.2.
    """

    def repeated(ids: Sequence[int]) -> float:
        ngrams = list(zip(*(islice(ids, start, None) for start in range(n)), strict=False))
        return 1 - len(set(ngrams)) / len(ngrams) if ngrams else 0.0

    def reward(completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float]:
        return [-repeated(ids) for ids in completion_ids]

    return reward


def gullible(*, word: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] = "harmful") -> Reward:
    """1 for a response that contains ``word``, whatever it says and whatever the image shows, else 0.

    A demonstration of reward hacking, never to be trained with: a policy learns to say the word about every image. Case
    does not matter; "harmful" is not in "harmfully" or "unharmful".
    """
    said = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)

    def reward(completions: Sequence[Any], **_: Any) -> list[float]:
        return [float(said.search(text) is not None) for text in responses(completions)]

    return reward
