"""A reward function as TRL calls it, and what the rewards here read from its arguments.

TRL calls ``reward(prompts=…, completions=…, completion_ids=…, **columns)`` with lists of one length, an entry a response, and
with ``log_metric``, ``log_extra`` and ``trainer_state``, which are none; the columns are those of the training rows.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from harness_ext.errors import UserError

Reward: TypeAlias = Callable[..., list[float]]
LogMetric: TypeAlias = Callable[[str, float], None]

LABELS = ("safe", "unsafe")
_RESTS_ON: Final = "rests_on"


def rests_on(what: str) -> Callable[[Reward], Reward]:
    """Marks a reward as resting on ``what``, the identity of a judge or of a model: its contents, not where it is.

    A run records it, and goes on only with the same.
    """

    def mark(reward: Reward) -> Reward:
        setattr(reward, _RESTS_ON, what)
        return reward

    return mark


def rest_of(reward: Reward) -> str | None:
    """What a reward was marked as resting on; ``None`` where it is its code alone."""
    return getattr(reward, _RESTS_ON, None)


def responses(completions: Sequence[Any]) -> list[str]:
    """The texts of ``completions``, each of which is a text or a list of messages that begins with the assistant's."""
    return [each if isinstance(each, str) else each[0]["content"] for each in completions]


def require_labels(label: Sequence[str]) -> None:
    """Raise ``UserError`` unless every image's label is ``"safe"`` or ``"unsafe"``: any other is never answered right."""
    if wrong := [each for each in label if each not in LABELS]:
        raise UserError(f"column label: expected {' or '.join(LABELS)}, found {wrong[0]!r}")
