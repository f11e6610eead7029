"""The backend for models behind an OpenAI-compatible API: a provider's, or a vLLM or SGLang server of one's own.

Questions are asked several at a time, and an answer is on disk before another question takes its place: a run that is cut off
has lost no more than what was under way. The provider is told not to store what it is sent.
"""

import asyncio
import base64
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from loguru import logger
from PIL import Image

from harness_ext.common.errors import UserError
from harness_ext.common.failures import failure_reason, is_failed, mark_failed
from harness_ext.common.provenance import record_provenance
from harness_ext.models.answering import (
    MAX_FAILED_SHARE,
    REQUEST_ERRORS,
    AnsweringModel,
    Conversation,
    Question,
    one_by_one,
)
from harness_ext.models.api_client import ChatClient, Server, several_at_a_time
from harness_ext.models.api_options import (
    MAX_TOKENS_KEYS,
    checked_url,
    extra_fields,
    is_openai,
    number,
    one_of,
    questions_at_a_time,
    read_key,
)
from harness_ext.models.generation import GenerationSettings, request_seed

OPENAI: Final = "https://api.openai.com/v1"
DETAILS: Final = (None, "low", "high", "auto")
# How Pillow is to write them; a PNG is of the same pixels at any level, and a fast one is sent sooner.
FORMATS: Final[dict[str, dict[str, int]]] = {"png": {"compress_level": 1}, "jpeg": {"quality": 95}}


class OpenAICompatible(AnsweringModel):
    """A model behind an OpenAI-compatible chat completions API.

    What a server runs under a name cannot be seen from here: where other weights come to be served under a name that has
    answered before, name another folder by ``answers``.

    Args:
        model: The model, as the server calls it.
        base_url: Where the API begins, mostly ending in ``/v1``; OpenAI's by default.
        api_key_variable: The environment variable that holds the key; ``OPENAI_API_KEY`` for OpenAI, none for other servers.
        concurrency: Questions under way at a time, of each process; ``batch_size`` if that is more than 1, else 8.
        batch_size: lmms-eval's; another word for ``concurrency`` here.
        max_batch_size: Given by lmms-eval, without effect here.
        timeout: Seconds that a request may take.
        max_retries: How often a request is tried again after a failure that may pass.
        backoff: Seconds before the first retry of a refused request, doubled for each further one, up to a minute; lost
            connections and time-outs are retried after half a second, doubled up to eight.
        image_format: ``"png"``, without loss, or ``"jpeg"`` of quality 95, a fraction of the size.
        detail: OpenAI's resolution of images, ``"low"``, ``"high"`` or ``"auto"``; the server's own default where not given.
        max_tokens_key: What the server calls the most tokens of an answer: ``"max_completion_tokens"`` (by default at OpenAI)
            or ``"max_tokens"`` (by default elsewhere).
        extra_body: Further fields of a request, as a mapping or in JSON; null leaves out a field that would be sent.
        generation: Defaults under the settings that a task names.
        max_failed: The share of a process's requests that may fail before the run does, those not counted that the service's
            content filter refused; 0.001 by default.
        seed: Seed of sampling, sent with each request; lmms-eval's ``--seed`` (its torch seed) by default.
        answers: The folder where answers are kept, ``"none"`` for not at all; the cache folder by default.

    Raises:
        UserError: An option is not as expected, or the key is missing.
    """

    def __init__(
        self,
        model: str = "",
        base_url: str = OPENAI,
        api_key_variable: str | None = None,
        concurrency: int | None = None,
        batch_size: int | str = 1,
        max_batch_size: int | None = None,
        timeout: float = 120.0,
        max_retries: int = 6,
        backoff: float = 1.0,
        image_format: str = "png",
        detail: str | None = None,
        max_tokens_key: str | None = None,
        extra_body: Mapping[str, Any] | str | None = None,
        generation: Mapping[str, Any] | None = None,
        max_failed: float = MAX_FAILED_SHARE,
        seed: int | None = None,
        answers: str | None = None,
    ) -> None:
        super().__init__(
            batch_size=batch_size, max_failed=max_failed, seed=seed, generation=generation, answers=answers
        )
        if not model:
            raise UserError("which model is asked for? Add model=NAME, as the server calls it, to --model_args")
        base_url = checked_url(base_url)
        at_openai = is_openai(base_url)
        self._server = Server(
            base_url=base_url,
            key=read_key(base_url, api_key_variable or ("OPENAI_API_KEY" if at_openai else None)),
            is_openai=at_openai,
            concurrency=questions_at_a_time(concurrency, self.batch_size),
            timeout=number("timeout", timeout, 0.001),
            max_retries=int(number("max_retries", max_retries, 0)),
            backoff=number("backoff", backoff, 0),
        )
        self._form = RequestForm(
            model=str(model),
            at_openai=at_openai,
            image_format=one_of("image_format", image_format, tuple(FORMATS)),
            detail=one_of("detail", detail, DETAILS),
            max_tokens_key=one_of("max_tokens_key", max_tokens_key or MAX_TOKENS_KEYS[at_openai], MAX_TOKENS_KEYS),
            extra_body=extra_fields(extra_body, at_openai),
        )
        record_provenance(weights=f"{model} at {base_url}")

    @property
    def device(self) -> torch.device:
        """Where lmms-eval puts what several processes tell each other."""
        return torch.device("cpu")

    def identity(self) -> Mapping[str, str]:
        """The server, the name of the model there, and what of a request the question does not hold."""
        return {
            "model": self._form.model,
            "base_url": self._server.base_url,
            "image_format": self._form.image_format,
            "detail": str(self._form.detail),
            "extra_body": json.dumps(dict(self._form.extra_body), sort_keys=True),
        }

    def render(self, turns: Conversation) -> str:
        """The messages as JSON, with a place held for each image."""
        return json.dumps(messages(turns, lambda image: {"type": "image_url"}))

    def plan(self, questions: Sequence[Question]) -> list[list[Question]]:
        """Each question by itself, in the harness's order: those about one image in a row, for a server that keeps prefixes.

        Raises:
            UserError: A task asks for what an API does not do.
        """
        for settings in {question.settings for question in questions}:
            self._form.check(settings)
        return one_by_one(questions)

    def answer(self, batches: Sequence[list[Question]]) -> Iterator[tuple[list[Question], list[str]]]:
        """Ask up to ``concurrency`` questions at a time, and give each answer as it comes.

        Raises:
            UserError: The server would answer none: a wrong key, an unknown model, a limit that does not pass.
        """
        if not batches:
            return
        server = self._server
        logger.info(
            f"asking {self._form.model} at {server.base_url}: {len(batches)} requests, {server.concurrency} at a time"
        )
        for batch, answer in several_at_a_time(server, batches, self._ask):
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
        seed = request_seed(self._seed, *question.sampling)
        return self._form.body(self.conversation(question), question.settings, seed)


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
