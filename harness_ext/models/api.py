"""The backend for models behind an OpenAI-compatible API: a provider's, or a vLLM or SGLang server of one's own.

Questions are asked several at a time. The next one is sent only when an answer is on disk, so that an interruption loses no
more than what was under way. The provider is told not to store what it is sent.
"""

import asyncio
import base64
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

import torch
from loguru import logger
from PIL import Image
from pydantic import Field

from harness_ext.common.errors import UserError
from harness_ext.common.failures import failure_reason, is_failed, mark_failed
from harness_ext.common.options import checked
from harness_ext.common.provenance import record_provenance
from harness_ext.models.answering import AnsweringModel, Question
from harness_ext.models.api_client import ChatClient, open_server, several_at_a_time
from harness_ext.models.api_options import MAX_TOKENS_KEYS, OPENAI, TEMPLATE_KEY, extra_fields
from harness_ext.models.conversation import Conversation
from harness_ext.models.generation import REQUEST_ERRORS, request_seed
from harness_ext.models.settings import Count, GenerationSettings, Number

_AT_A_TIME: Final = 8
# How Pillow writes them; a PNG keeps every pixel at any level, and a low level takes the least time.
_FORMATS: Final[dict[str, dict[str, int]]] = {"png": {"compress_level": 1}, "jpeg": {"quality": 95}}


class OpenAICompatible(AnsweringModel):
    """A model behind an OpenAI-compatible chat completions API.

    The weights behind a name cannot be seen from here. When other weights are served under a name that has answered before,
    name another folder by ``answers``.

    Args:
        model: The model, as the server calls it.
        base_url: Where the API begins, mostly ending in ``/v1``.
        api_key_variable: The environment variable that holds the key; ``OPENAI_API_KEY`` for OpenAI, none for other servers.
        concurrency: Questions under way at a time, of each process; ``batch_size`` if that is more than 1, else 8.
        timeout: Seconds that a request may take.
        max_retries: How often a request is tried again after a failure that may pass.
        backoff: Seconds before the first retry of a refused request, doubled for each further one, up to a minute; lost
            connections and time-outs are retried after half a second, doubled up to eight.
        image_format: ``"png"``, without loss, or ``"jpeg"`` of quality 95, a fraction of the size.
        detail: OpenAI's resolution of images; the server's own default where not given.
        max_tokens_key: What the server calls the most tokens of an answer; the second at OpenAI, the first elsewhere.
        extra_body: Further fields of a request, as a mapping or in JSON; null leaves out a field that would be sent.
        shared: See :class:`AnsweringModel`.

    Raises:
        UserError: An option is not as expected, or the key is missing.
    """

    template_is_elsewhere = True
    # What speaks to the server.
    client: ClassVar[type[ChatClient]] = ChatClient

    @checked
    def __init__(
        self,
        model: Any = "",
        base_url: str = OPENAI,
        api_key_variable: str | None = None,
        concurrency: Count | None = None,
        timeout: Annotated[float, Field(ge=0.001)] = 120.0,
        max_retries: Annotated[int, Field(ge=0)] = 6,
        backoff: Number = 1.0,
        image_format: Literal["png", "jpeg"] = "png",
        detail: Literal["low", "high", "auto"] | None = None,
        max_tokens_key: Literal["max_tokens", "max_completion_tokens"] | None = None,
        extra_body: Mapping[str, Any] | str | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        if not model:
            raise UserError("which model is asked for? Add model=NAME, as the server calls it, to --model_args")
        if concurrency and self.batch_size not in (1, concurrency):
            raise UserError(
                f"concurrency={concurrency} and a batch size of {self.batch_size} contradict each other; give one"
            )
        at_a_time = concurrency or (self.batch_size if self.batch_size > 1 else _AT_A_TIME)
        self._server = open_server(base_url, api_key_variable, at_a_time, timeout, max_retries, backoff)
        self._model, self._image_format, self._detail = str(model), image_format, detail
        self._max_tokens_key = max_tokens_key or MAX_TOKENS_KEYS[self._server.is_openai]
        self._own_body = self._extra_body = extra_fields(extra_body, self._server.is_openai)
        record_provenance(weights=f"{model} at {self._server.base_url}")

    @property
    def device(self) -> torch.device:
        """Where lmms-eval puts what several processes tell each other."""
        return torch.device("cpu")

    def identity(self) -> Mapping[str, str]:
        """The server, the name of the model there, and what of a request the question does not hold."""
        return {
            "model": self._model,
            "base_url": self._server.base_url,
            "image_format": self._image_format,
            "detail": str(self._detail),
            "extra_body": json.dumps(self._extra_body, sort_keys=True),
        }

    def put_template_options(self, options: Mapping[str, Any]) -> None:
        """As :class:`AnsweringModel` says: vLLM and SGLang hand them on to the template."""
        both = {**(self._own_body.get(TEMPLATE_KEY) or {}), **options}
        self._extra_body = {**self._own_body, TEMPLATE_KEY: both} if options else self._own_body

    def render(self, turns: Conversation) -> str:
        """The messages as JSON, with a place held for each image."""
        return json.dumps(_messages(turns, lambda image: {"type": "image_url"}))

    def require_possible(self, settings: GenerationSettings) -> None:
        """Raise ``UserError`` where a task asks for what an API, or OpenAI's, does not do."""
        super().require_possible(settings)
        beyond = {"top_k": settings.top_k, "repetition_penalty": settings.repetition_penalty}
        if self._server.is_openai and (asked := [f"{name}={value}" for name, value in beyond.items() if value]):
            raise UserError(f"OpenAI's API does not know {' and '.join(asked)}: leave it out")

    def answer(self, batches: Sequence[list[Question]]) -> Iterator[tuple[list[Question], list[str]]]:
        """Ask up to ``concurrency`` questions at a time, and give each answer as it comes.

        Raises:
            UserError: The server would answer none: a wrong key, an unknown model, a limit that does not pass.
        """
        if not batches:
            return
        server = self._server
        logger.info(
            f"asking {self._model} at {server.base_url}: {len(batches)} requests, {server.concurrency} at a time"
        )
        for batch, answer in several_at_a_time(server, batches, self._ask, self.client):
            yield batch, [answer]

    async def _ask(self, client: ChatClient, batch: Sequence[Question]) -> str:
        (question,) = batch
        try:
            body = await asyncio.to_thread(self._body, question)
        except REQUEST_ERRORS as error:
            return mark_failed(failure_reason(error))
        reply = await client.reply(body)
        if is_failed(reply.text):
            return reply.text
        return question.settings.cut(reply.text, ended=None if reply.cut_short is None else not reply.cut_short)

    def _body(self, question: Question) -> dict[str, Any]:
        """The body of a request. Stop strings are not sent: answers are cut here, and some models refuse them."""
        fields = {
            "model": self._model,
            "messages": _messages(self.conversation(question), self._image_part),
            self._max_tokens_key: question.settings.max_new_tokens,
            # To every server: OpenAI may stand behind a gateway, and vLLM and SGLang do not mind.
            "store": False,
            **self._decoding(question),
            **self._extra_body,
        }
        return {key: value for key, value in fields.items() if value is not None}

    def _decoding(self, question: Question) -> dict[str, Any]:
        settings = question.settings
        fields: dict[str, Any] = {"temperature": 0, "repetition_penalty": settings.repetition_penalty}
        if not settings.do_sample:
            return fields
        # 31 of 63 bits, for servers that keep a seed in 32.
        seed = request_seed(self._seed, *question.sampling) >> 32
        fields |= {"temperature": settings.temperature, "top_p": settings.top_p, "seed": seed}
        if not self._server.is_openai:
            # What is not sent, vLLM and SGLang take from the checkpoint: a top_k of 1 there would be greedy.
            fields["top_k"] = settings.top_k or -1
        elif settings.top_p == 1:
            # Models that reason refuse it, even where it changes nothing.
            fields["top_p"] = None
        return fields

    def _image_part(self, image: Image.Image) -> dict[str, Any]:
        file = io.BytesIO()
        image.convert("RGB").save(file, self._image_format, **_FORMATS[self._image_format])
        data = base64.b64encode(file.getvalue()).decode("ascii")
        shown = {"url": f"data:image/{self._image_format};base64,{data}"}
        return {"type": "image_url", "image_url": shown | ({"detail": self._detail} if self._detail else {})}


def _messages(turns: Conversation, image_part: Callable[[Image.Image], dict[str, Any]]) -> list[dict[str, Any]]:
    """``turns`` as the API has them, each image by ``image_part``; bare text where a turn is no more, for older servers."""
    return [{"role": turn["role"], "content": _content(turn["content"], image_part)} for turn in turns]


def _content(parts: list[dict[str, Any]], image_part: Callable[[Image.Image], dict[str, Any]]) -> Any:
    if len(parts) == 1 and parts[0]["type"] == "text":
        return parts[0]["text"]
    return [image_part(part["image"]) if part["type"] == "image" else part for part in parts]
