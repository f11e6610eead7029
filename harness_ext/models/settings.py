"""The settings of generation and the range of each, without torch: the catalogue of models checks its entries by them too."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from harness_ext.common.errors import UserError
from harness_ext.common.options import problem

# Keys of other tasks that say how an image was once tiled or which modality is meant; our processor decides both.
_WITHOUT_EFFECT: Final = {"image_aspect_ratio", "modalities"}
# lmms-eval adds this stop string to every task that names none; it would cut answers at their first paragraph.
_HARNESS_DEFAULT_UNTIL: Final = ["\n\n"]

Flag = Annotated[bool, Field(strict=True, description="true or false")]
Count = Annotated[int, Field(ge=1, description="a whole number from 1 on")]
Number = Annotated[float, Field(ge=0, allow_inf_nan=False, description="a number from 0 on")]
Share = Annotated[Number, Field(le=1, description="a number from 0 to 1")]


def _stops(until: Any) -> Any:
    """Stop strings as a tuple; a single text is one, and the harness's default is none."""
    if isinstance(until, str):
        until = [until] if until else []
    if not isinstance(until, list | tuple):
        return until
    if "" in until:
        raise UserError("generation setting until holds an empty text, at which every answer would end before it began")
    return () if list(until) == _HARNESS_DEFAULT_UNTIL else tuple(until)


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

    def __getnewargs__(self) -> tuple[str, bool]:  # type: ignore[override]
        """What it is made of anew from, in another process."""
        return str(self), self.cut_short


@dataclass(frozen=True)
class GenerationSettings:
    """What a task asks of generation, or a model of the catalogue where the task asks nothing.

    Hashable, so that requests with the same settings share batches.

    Attributes:
        max_new_tokens: The most tokens an answer may have.
        do_sample: Sample (``temperature``, ``top_p``, ``top_k``) rather than take the likeliest token.
        num_beams: Beams of a beam search; 1 for none.
        repetition_penalty: As in transformers; ``None`` leaves it to the checkpoint's own generation settings.
        until: An answer ends before the first of these strings.
        likelihood: Nothing is generated: the row's candidates are scored, see ``harness_ext.models.likelihood``.
    """

    max_new_tokens: Count = 512
    do_sample: Flag = False
    temperature: Number = 1.0
    top_p: Share = 1.0
    top_k: Annotated[int, Field(ge=0, description="a whole number from 0 on")] = 0
    num_beams: Count = 1
    repetition_penalty: Number | None = None
    until: Annotated[tuple[str, ...], BeforeValidator(_stops), Field(description="text or a list of texts")] = ()
    likelihood: Flag = False

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
        try:
            settings = _SETTINGS.validate_python(known)
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

    def free_text(self, max_new_tokens: int) -> "GenerationSettings":
        """Decoded alike, of so many tokens, and neither ended by a stop string nor scored."""
        return replace(self, max_new_tokens=max_new_tokens, until=(), likelihood=False)

    def cut(self, answer: str, ended: bool | None = None) -> str:
        """``answer`` up to the first stop string; a :class:`Generated` one where it is known whether it ``ended``."""
        text = answer[: min((at for stop in self.until if (at := answer.find(stop)) >= 0), default=len(answer))]
        return text if ended is None else Generated(text, not ended and len(text) == len(answer))


_SETTINGS: Final = TypeAdapter(GenerationSettings)
