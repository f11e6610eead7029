"""``coca``: what a principle of safety changes in the model's scores, made larger.

After *CoCA: Regaining Safety-awareness of Multimodal Large Language Models with Constitutional Calibration* (Gao et al.,
COLM 2024, arXiv 2409.11365). Every prompt is read twice, with the principle before its question and without it, and each next
token is chosen from

    with + alpha * (with - without)

for both. The scores are logits; those of a verdict by likelihood are made in the same way, before they become probabilities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from transformers import BatchFeature, LogitsProcessor

from harness_ext.common.errors import UserError
from harness_ext.models.conversation import Conversation
from harness_ext.models.decoding import Decoder, Row
from harness_ext.models.defences.base import Defence, before_question, short_digest, text_option
from harness_ext.models.defences.principle import PRINCIPLE
from harness_ext.models.settings import GenerationSettings


@dataclass
class Coca(Defence):
    """Questions in words alone are asked in the same way.

    Attributes:
        alpha: How much larger; 0 is the principle alone.
        text: Another principle than the packaged one; a text, or a file that holds it.
    """

    passes: ClassVar[int] = 2
    within: ClassVar[bool] = True

    alpha: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    text: str = PRINCIPLE

    def __post_init__(self) -> None:
        self.text = text_option("text", self.text)

    def require_possible(self, settings: GenerationSettings) -> None:
        """Raise ``UserError`` for a beam search, whose two halves would not stay together."""
        if settings.num_beams > 1:
            raise UserError(f"defence coca: it has no beam search; leave out num_beams={settings.num_beams}")

    def told(self) -> dict[str, str]:
        """How much larger, and the principle's digest."""
        return {"alpha": str(self.alpha), "text": short_digest(self.text)}


class ContrastingDecoder(Decoder):
    """A decoder that reads every prompt twice: rows 2i with the principle, rows 2i + 1 without, which say the same tokens."""

    not_shareable = "coca reads every prompt twice, with a principle and without it"

    def __init__(self, coca: Coca, *args: Any) -> None:
        super().__init__(*args)
        self._coca = coca

    def encode(self, conversations: Sequence[Conversation]) -> BatchFeature:
        """B prompts as 2B rows of inputs."""
        pairs = ((before_question(turns, self._coca.text), turns) for turns in conversations)
        return super().encode(list(chain.from_iterable(pairs)))

    def proceed(
        self, inputs: Mapping[str, Any], rows: Sequence[Row], settings: GenerationSettings
    ) -> tuple[torch.Tensor, list[torch.Tensor], list[bool]]:
        """Continue B ``rows`` after inputs of 2B rows; what is returned is of B rows."""
        tokens, logits, failed = super().proceed(inputs, [row for row in rows for _ in range(2)], settings)
        return tokens[::2], [contrasted(step, self._coca.alpha)[::2] for step in logits], failed[::2]

    def before_choosing(self) -> list[LogitsProcessor]:
        """The contrast, made before a token is chosen or drawn."""
        return [_Contrast(self._coca.alpha)]


class _Contrast(LogitsProcessor):
    def __init__(self, alpha: float) -> None:
        self._alpha = alpha

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        return contrasted(scores, self._alpha)  # type: ignore[return-value]


def contrasted(scores: torch.Tensor, alpha: float) -> torch.Tensor:
    """``with + alpha * (with - without)`` for both rows of each pair, shape (2B, V) as given, in float32.

    A token that is ruled out with the principle stays so; scores that are not finite otherwise make others of their kind.
    """
    pairs = scores.float().view(-1, 2, scores.shape[-1])
    given, without = pairs[:, 0], pairs[:, 1]
    made = torch.where(given == -torch.inf, given, given + alpha * (given - without))
    return made.repeat_interleave(2, 0)
