"""The judge ``llm``: a language model behind any OpenAI-compatible API reads the answers, by a rubric."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from loguru import logger
from pydantic import Field

from harness_ext.common.errors import UserError
from harness_ext.common.failures import CONTENT_FILTER, is_failed, mark_failed, reason_of
from harness_ext.judges.base import Answer
from harness_ext.judges.llm.keeping import BYTES_A_TOKEN, MOST_TOKENS, KeepingJudge, estimated_tokens
from harness_ext.judges.llm.prompt import (
    LATEST,
    UnreadableError,
    instruction,
    load_rubric,
    read_verdict,
    request,
    schema,
)
from harness_ext.models.api_client import ChatClient, Server, open_server, several_at_a_time
from harness_ext.models.api_options import MAX_TOKENS_KEYS, OPENAI, extra_fields
from harness_ext.models.settings import Count, Number
from harness_ext.models.store import answers_folder

Structured = Literal["schema", "json", "none"]
AtLeast0 = Annotated[int, Field(ge=0)]

# After this many replies without one verdict, the judge stops.
_UNREADABLE_ALIKE: Final = 20


def llm_judge(
    model: str,
    base_url: str = OPENAI,
    api_key_variable: str | None = None,
    rubric: str = LATEST,
    structured: Structured = "schema",
    most_calls: AtLeast0 = 2000,
    most_tokens: Count = MOST_TOKENS,
    max_new_tokens: Count = 64,
    tries: Count = 3,
    concurrency: Count = 8,
    timeout: Annotated[float, Field(ge=0.001)] = 120.0,
    max_retries: AtLeast0 = 6,
    backoff: Number = 1.0,
    seed: int = 0,
    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] | None = None,
    extra_body: str | None = None,
    answers: str | None = None,
) -> "ApiJudge":
    """A judge behind an API, asked at temperature 0. README.md beside this file describes the options.

    Raises:
        UserError: An option is not as expected, or the key is missing.
    """
    server = open_server(base_url, api_key_variable, concurrency, timeout, max_retries, backoff)
    fields: dict[str, Any] = {
        "model": model,
        "temperature": 0,
        "seed": seed,
        max_tokens_key or MAX_TOKENS_KEYS[server.is_openai]: max_new_tokens,
        # Other servers have no such store, and some refuse an unknown field.
        "store": False if server.is_openai else None,
    }
    return ApiJudge(
        name=f"llm-{rubric}-{model}",
        kept=answers_folder(answers),
        rubric=load_rubric(rubric),
        most_tokens=most_tokens,
        model=model,
        server=server,
        structured=structured,
        fields=fields,
        extra=extra_fields(extra_body, server.is_openai),
        most_calls=most_calls,
        max_new_tokens=max_new_tokens,
        tries=tries,
    )


@dataclass(eq=False)
class ApiJudge(KeepingJudge):
    """A judge behind an API; see :func:`llm_judge`. The ``extra`` fields of a call win over the ``fields``."""

    model: str
    server: Server
    structured: Structured
    fields: Mapping[str, Any]
    extra: Mapping[str, Any]
    most_calls: int
    max_new_tokens: int
    tries: int
    made: int = 0

    def identity(self) -> Mapping[str, str]:
        """The server, and the model's name there."""
        return {"judge": "llm", "model": self.model, "base_url": self.server.base_url}

    def question(self, answer: Answer) -> dict[str, Any]:
        """The body of the call about an answer, with the rubric and all settings."""
        messages = [
            {"role": "system", "content": instruction(self.rubric, answer)},
            {"role": "user", "content": request(self.rubric, answer, "json")},
        ]
        named = {"name": "verdict", "strict": True, "schema": schema(answer.labels)}
        formats = {"schema": {"type": "json_schema", "json_schema": named}, "json": {"type": "json_object"}}
        reply = formats.get(self.structured)
        fields = {**self.fields, "messages": messages, "response_format": reply, **self.extra}
        return {key: value for key, value in fields.items() if value is not None}

    def begin(self, waiting: Sequence[Answer], answers: int) -> None:
        """Log the estimate of calls and tokens. Raises ``UserError`` for more calls than ``most_calls``."""
        messages = [message["content"] for answer in waiting for message in self.question(answer)["messages"]]
        sent = sum(map(estimated_tokens, messages))
        estimate = (
            f"{len(waiting):,} calls for {answers:,} answers (the others are alike, empty, or judged before), about {sent:,} "
            f"tokens to read (a token for {BYTES_A_TOKEN} bytes) and at most "
            f"{len(waiting) * self.max_new_tokens:,} to write; where a reply is no verdict, up to {self.tries} times"
        )
        calls = self.made + len(waiting)
        if calls > self.most_calls:
            before = f", after {self.made:,} that were made" if self.made else ""
            raise UserError(
                f"{self.name} needs {estimate}.\nThat is more than most_calls={self.most_calls}{before}: add "
                f"most_calls={calls} to --judge_args to have them made"
            )
        self.made = calls
        logger.info(f"{self.name} at {self.server.base_url}: {estimate}, {self.server.concurrency} at a time")

    def ask(self, waiting: Mapping[str, Answer]) -> Iterator[tuple[str, str]]:
        """Ask about ``concurrency`` answers at a time.

        Raises:
            UserError: The server answers no call, or none of its first replies holds a verdict.
        """
        unreadable: int | None = 0
        for (key, _), verdict in several_at_a_time(self.server, waiting.items(), self._verdict):
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
        body, labels = self.question(answer), answer.labels
        why = ""
        for _ in range(self.tries):
            reply = await client.reply(body)
            if is_failed(reply.text):
                # The client has already retried failures that may pass.
                return reply.text
            try:
                if reply.is_refusal:
                    raise UnreadableError("the judge refused")
                if reply.cut_short:
                    raise UnreadableError("the reply was cut off at max_new_tokens")
                return read_verdict(reply.text, labels)
            except UnreadableError as error:
                why = str(error)
        return mark_failed(f"{why} (asked {self.tries} times)")
