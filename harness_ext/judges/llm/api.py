"""The judge ``llm``: a language model behind any OpenAI-compatible API reads the answers, by a rubric."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from loguru import logger

from harness_ext.common.errors import UserError
from harness_ext.common.failures import CONTENT_FILTER, is_failed, mark_failed, reason_of
from harness_ext.judges.base import Answer, BatchJudge
from harness_ext.judges.llm.keeping import KeepingJudge
from harness_ext.judges.llm.prompt import (
    LATEST,
    Rubric,
    UnreadableError,
    instruction,
    labels_of,
    load_rubric,
    read_verdict,
    request,
    schema,
)
from harness_ext.models.api_client import ChatClient, Reply, Server
from harness_ext.models.api_options import (
    MAX_TOKENS_KEYS,
    checked_url,
    extra_fields,
    is_openai,
    number,
    one_of,
    read_key,
)
from harness_ext.models.api_together import several_at_a_time

Structured = Literal["schema", "json", "none"]

OPENAI: Final = "https://api.openai.com/v1"
# A rule of thumb for English; tokenizers differ: https://help.openai.com/en/articles/4936856
_CHARACTERS_A_TOKEN: Final = 4
# After this many replies without one verdict, the judge stops.
_UNREADABLE_ALIKE: Final = 20


def llm_judge(
    model: str,
    base_url: str = OPENAI,
    api_key_variable: str | None = None,
    rubric: str = LATEST,
    structured: Structured = "schema",
    most_calls: int = 2000,
    max_new_tokens: int = 64,
    tries: int = 3,
    concurrency: int = 8,
    timeout: float = 120.0,
    max_retries: int = 6,
    backoff: float = 1.0,
    seed: int = 0,
    max_tokens_key: str | None = None,
    extra_body: str | None = None,
    answers: str | None = None,
) -> BatchJudge:
    """A judge behind an API, asked at temperature 0.

    Args:
        model: The model, as the server calls it; best a dated snapshot, for a name may come to stand for another one.
        base_url: Where the API begins, mostly ending in ``/v1``; OpenAI's by default.
        api_key_variable: The environment variable that holds the key; ``OPENAI_API_KEY`` for OpenAI, none for other servers.
        rubric: The version of the rubric.
        structured: How the server is made to reply in JSON: by a ``"schema"``, as ``"json"`` of any form, or by the
            rubric's words alone (``"none"``), for servers that support neither.
        most_calls: The most calls that this judge may make; more are refused with an estimate, before the first call.
        max_new_tokens: The most tokens of a reply; a model that reasons needs more.
        tries: Calls about one answer, while replies are unreadable, before its verdict is ``failed``.
        concurrency: Calls under way at a time.
        timeout: Seconds a call may take.
        max_retries: Further calls after a failure that may pass.
        backoff: Seconds before the first retry, doubled for each further one, up to a minute.
        seed: Sent with each call.
        max_tokens_key: The server's name for the most tokens of a reply; ``max_completion_tokens`` at OpenAI, else
            ``max_tokens``.
        extra_body: Further fields of a call, in JSON; null leaves out a field that would be sent.
        answers: The folder where verdicts are kept, the cache folder by default; ``"none"`` keeps none.

    Raises:
        UserError: An option is not as expected, or the key is missing.
    """
    base_url = checked_url(base_url)
    at_openai = is_openai(base_url)
    server = Server(
        base_url=base_url,
        key=read_key(base_url, api_key_variable or ("OPENAI_API_KEY" if at_openai else None)),
        is_openai=at_openai,
        concurrency=int(number("concurrency", concurrency, 1)),
        timeout=number("timeout", timeout, 0.001),
        max_retries=int(number("max_retries", max_retries, 0)),
        backoff=number("backoff", backoff, 0),
    )
    form = CallForm(
        model=model,
        rubric=load_rubric(rubric),
        structured=structured,
        max_tokens_key=one_of("max_tokens_key", max_tokens_key or MAX_TOKENS_KEYS[at_openai], MAX_TOKENS_KEYS),
        max_new_tokens=int(number("max_new_tokens", max_new_tokens, 1)),
        seed=seed,
        at_openai=at_openai,
        extra_body=extra_fields(extra_body, at_openai),
    )
    return ApiJudge(
        server,
        form,
        most_calls=int(number("most_calls", most_calls, 0)),
        tries=int(number("tries", tries, 1)),
        answers=answers,
    )


@dataclass(frozen=True)
class CallForm:
    """The form of every call; see :func:`llm_judge`."""

    model: str
    rubric: Rubric
    structured: Structured
    max_tokens_key: str
    max_new_tokens: int
    seed: int
    at_openai: bool
    extra_body: Mapping[str, Any]

    def body(self, answer: Answer) -> dict[str, Any]:
        """The body of the call about an answer."""
        fields = {
            "model": self.model,
            "messages": [
                {"role": "system", "content": instruction(self.rubric, answer)},
                {"role": "user", "content": request(self.rubric, answer, "json")},
            ],
            "temperature": 0,
            "seed": self.seed,
            self.max_tokens_key: self.max_new_tokens,
            "response_format": self._response_format(answer),
            # Other servers have no such store, and some refuse an unknown field.
            "store": False if self.at_openai else None,
            **self.extra_body,
        }
        return {key: value for key, value in fields.items() if value is not None}

    def _response_format(self, answer: Answer) -> dict[str, Any] | None:
        if self.structured == "none":
            return None
        if self.structured == "json":
            return {"type": "json_object"}
        named = {"name": "verdict", "strict": True, "schema": schema(labels_of(answer))}
        return {"type": "json_schema", "json_schema": named}


class ApiJudge(KeepingJudge):
    """A judge behind an API; see :func:`llm_judge`."""

    def __init__(self, server: Server, form: CallForm, *, most_calls: int, tries: int, answers: str | None) -> None:
        super().__init__(f"llm-{form.rubric.version}-{form.model}", answers)
        self._server, self._form, self._tries = server, form, tries
        self._most_calls, self._made = most_calls, 0

    def identity(self) -> Mapping[str, str]:
        """The server, and the model's name there."""
        return {"judge": "llm", "model": self._form.model, "base_url": self._server.base_url}

    def question(self, answer: Answer) -> dict[str, Any]:
        """The body of its call, with the rubric and all settings."""
        return self._form.body(answer)

    def begin(self, waiting: Sequence[Answer], answers: int) -> None:
        """Log the estimate of calls and tokens. Raises ``UserError`` for more calls than ``most_calls``."""
        estimate = self._estimate(waiting, answers)
        calls = self._made + len(waiting)
        if calls > self._most_calls:
            before = f", after {self._made:,} that were made" if self._made else ""
            raise UserError(
                f"{self.name} needs {estimate}.\nThat is more than most_calls={self._most_calls}{before}: add "
                f"most_calls={calls} to --judge_args to have them made"
            )
        self._made = calls
        logger.info(f"{self.name} at {self._server.base_url}: {estimate}, {self._server.concurrency} at a time")

    def _estimate(self, waiting: Sequence[Answer], answers: int) -> str:
        messages = [message["content"] for answer in waiting for message in self._form.body(answer)["messages"]]
        sent = math.ceil(sum(map(len, messages)) / _CHARACTERS_A_TOKEN)
        return (
            f"{len(waiting):,} calls for {answers:,} answers (the others are alike, empty, or judged before), about {sent:,} "
            f"tokens to read (a token for {_CHARACTERS_A_TOKEN} characters) and at most "
            f"{len(waiting) * self._form.max_new_tokens:,} to write; where a reply is no verdict, up to {self._tries} times"
        )

    def ask(self, waiting: Mapping[str, Answer]) -> Iterator[tuple[str, str]]:
        """Ask about ``concurrency`` answers at a time.

        Raises:
            UserError: The server answers no call, or none of its first replies holds a verdict.
        """
        unreadable: int | None = 0
        for (key, _), verdict in several_at_a_time(self._server, waiting.items(), self._verdict):
            yield key, verdict
            if not is_failed(verdict):
                unreadable = None
            elif unreadable is not None and reason_of(verdict) != CONTENT_FILTER:
                unreadable += 1
                if unreadable == _UNREADABLE_ALIKE:
                    raise UserError(
                        f"{self.name} gave no verdict on any of the first {unreadable} answers; the last: "
                        f"{reason_of(verdict)}\nSee its options structured and max_new_tokens, or take another model"
                    )

    async def _verdict(self, client: ChatClient, item: tuple[str, Answer]) -> str:
        """The verdict on an answer, or its failure marked as one."""
        _, answer = item
        body, labels = self._form.body(answer), labels_of(answer)
        why = ""
        for _ in range(self._tries):
            reply = await client.reply(body)
            if is_failed(reply.text):
                # The client has already retried failures that may pass.
                return reply.text
            try:
                return read_verdict(_whole(reply), labels)
            except UnreadableError as error:
                why = str(error)
        return mark_failed(f"{why} (asked {self._tries} times)")


def _whole(reply: Reply) -> str:
    """The text of a reply. Raises ``UnreadableError`` for a refusal, and for one that was cut off."""
    if reply.is_refusal:
        raise UnreadableError("the judge refused")
    if reply.cut_short:
        raise UnreadableError("the reply was cut off at max_new_tokens")
    return reply.text
