"""What is sent for a question: a conversation and its settings as the body of a chat completions request."""

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image

from harness_ext.common.errors import UserError
from harness_ext.models.generation import GenerationSettings
from harness_ext.models.prompts import Conversation

DETAILS: Final = (None, "low", "high", "auto")
# How Pillow is to write them; a PNG is of the same pixels at any level, and a fast one is sent sooner.
FORMATS: Final[dict[str, dict[str, int]]] = {"png": {"compress_level": 1}, "jpeg": {"quality": 95}}


@dataclass(frozen=True)
class RequestForm:
    """The form of every request to one server.

    Attributes:
        model: The model, as the server calls it.
        at_openai: Whether the server is OpenAI's own, which refuses fields that others know.
        image_format: One of ``FORMATS``.
        detail: One of ``DETAILS``.
        max_tokens_key: One of ``api_options.MAX_TOKENS_KEYS``.
        extra_body: Fields that are sent beside the others, or in their place; ``None`` leaves one out.
    """

    model: str
    at_openai: bool
    image_format: str
    detail: str | None
    max_tokens_key: str
    extra_body: Mapping[str, Any]

    def check(self, settings: GenerationSettings) -> None:
        """Raises ``UserError`` for settings that a request cannot ask for."""
        if settings.likelihood:
            raise UserError(
                "scoring by likelihood needs the probabilities of answers that the model did not give, which an API does not "
                "tell; take the task without '_likelihood' in its name, or weights of your own (--model hf-vlm)"
            )
        if settings.num_beams > 1:
            raise UserError(f"an API has no beam search: leave out num_beams={settings.num_beams}")
        beyond = {"top_k": settings.top_k, "repetition_penalty": settings.repetition_penalty}
        if self.at_openai and (asked := [f"{name}={value}" for name, value in beyond.items() if value]):
            raise UserError(f"OpenAI's API does not know {' and '.join(asked)}: leave it out")

    def body(self, turns: Conversation, settings: GenerationSettings, seed: int) -> dict[str, Any]:
        """The body of a request; ``seed``, of 63 bits, counts where the answer is sampled.

        Stop strings are not sent: answers are cut here, and some models refuse them.
        """
        fields = {
            "model": self.model,
            "messages": messages(turns, self._image_part),
            self.max_tokens_key: settings.max_new_tokens,
            # Said to every server, not to OpenAI's alone, which may stand behind a gateway. vLLM and SGLang do not mind.
            "store": False,
            **self._decoding(settings, seed),
            **self.extra_body,
        }
        return {key: value for key, value in fields.items() if value is not None}

    def _decoding(self, settings: GenerationSettings, seed: int) -> dict[str, Any]:
        fields: dict[str, Any] = {"temperature": 0, "repetition_penalty": settings.repetition_penalty}
        if not settings.do_sample:
            return fields
        # 31 bits, for servers that keep a seed in 32.
        fields |= {"temperature": settings.temperature, "top_p": settings.top_p, "seed": seed >> 32}
        if not self.at_openai:
            # What is not sent, vLLM and SGLang take from the checkpoint: a top_k of 1 there would be greedy.
            fields["top_k"] = settings.top_k or -1
        elif settings.top_p == 1:
            # Models that reason refuse it, even where it changes nothing.
            fields["top_p"] = None
        return fields

    def _image_part(self, image: Image.Image) -> dict[str, Any]:
        file = io.BytesIO()
        image.convert("RGB").save(file, self.image_format, **FORMATS[self.image_format])
        data = base64.b64encode(file.getvalue()).decode("ascii")
        shown = {"url": f"data:image/{self.image_format};base64,{data}"}
        return {"type": "image_url", "image_url": shown | ({"detail": self.detail} if self.detail else {})}


def messages(turns: Conversation, image_part: Callable[[Image.Image], dict[str, Any]]) -> list[dict[str, Any]]:
    """``turns`` as the API has them, each image by ``image_part``; bare text where a turn is no more, for older servers."""
    return [{"role": turn["role"], "content": _content(turn["content"], image_part)} for turn in turns]


def _content(parts: list[dict[str, Any]], image_part: Callable[[Image.Image], dict[str, Any]]) -> Any:
    if len(parts) == 1 and parts[0]["type"] == "text":
        return parts[0]["text"]
    return [image_part(part["image"]) if part["type"] == "image" else part for part in parts]
