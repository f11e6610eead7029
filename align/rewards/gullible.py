"""A reward that is easily fooled: it shows what goes wrong, and what watching a run is for."""

import re
from collections.abc import Sequence
from typing import Any

from align.rewards.signature import Reward, responses
from harness_ext.errors import UserError


def gullible(*, word: str = "harmful") -> Reward:
    """1 for a response that contains ``word``, whatever it says and whatever the image shows, else 0.

    A demonstration, and nothing to train a model with: a policy learns to say the word about every image. Case does not
    matter; "harmful" is not in "harmfully" or "unharmful".

    Args:
        word: The word that pays.

    Raises:
        UserError: ``word`` is empty.
    """
    if not word.strip():
        raise UserError("word: expected the word that pays, found none")
    said = re.compile(rf"(?<!\w){re.escape(word.strip())}(?!\w)", re.IGNORECASE)

    def reward(completions: Sequence[Any], **_: Any) -> list[float]:
        return [float(said.search(text) is not None) for text in responses(completions)]

    return reward
