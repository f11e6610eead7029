"""Asking one question of an OpenAI-compatible server until it is answered, given up, or asking on is of no use.

What passes is tried again (a dropped connection, a time-out, half an answer, a status of 5xx), what a service refuses for its
content is recorded so, and what every request would meet (a wrong key, an unknown model) ends the run.
"""

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import openai
from openai.types.chat import ChatCompletion

from harness_ext.common.errors import UserError
from harness_ext.common.failures import CONTENT_FILTER, failure_reason, mark_failed, writable
from harness_ext.common.provenance import record_provenance
from harness_ext.models.api_errors import (
    ENDS_THE_RUN,
    hint,
    is_filtered,
    is_out_of_credit,
    is_too_large,
    words_of,
)
from harness_ext.models.api_notes import Notes
from harness_ext.models.api_options import hide
from harness_ext.models.api_pace import LONGEST_ASKED_FOR, LONGEST_WAIT, Pace, back_off
from harness_ext.models.api_reply import NoAnswerError, read
from harness_ext.models.api_waits import seconds_to_wait

# Refused for no reason of its own that we know: after so many, and not one answer, all are thought to be refused.
_REFUSED_ALIKE: Final = 3
# A server's words in a message: the beginning, and the end, where a wrapped error has its own.
_LONGEST_WORDS: Final = 500
_LAST_WORDS: Final = 200
# No model says a key of so many characters but from a server that repeats it.
_LONG_KEY: Final = 16


@dataclass(frozen=True)
class Server:
    """Where to ask, and how.

    Attributes:
        base_url: Where the API begins.
        key: The API's key; empty for a server without one.
        is_openai: Whether it is OpenAI's own, and the environment's OpenAI organization and project its business.
        concurrency: Requests under way at a time, at most.
        timeout: Seconds that one request may take.
        max_retries: How often a request that failed is tried again.
        backoff: Seconds before the first of these, doubled for each further one.
    """

    base_url: str
    key: str = field(repr=False)
    is_openai: bool
    concurrency: int
    timeout: float
    max_retries: int
    backoff: float


@dataclass(frozen=True)
class Reply:
    """What came of a request.

    Attributes:
        text: What the model said, or the failure marked as one.
        cut_short: Whether it ended because its tokens were used up; ``None`` where the server does not say.
        is_refusal: Whether the API marks it as a refusal to answer.
    """

    text: str
    cut_short: bool | None = None
    is_refusal: bool = False


class ChatClient:
    """A server's chat completions, asked at the pace that it allows; for one event loop."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._pace = Pace(server.concurrency, server.backoff, server.max_retries)
        connect = min(server.timeout, LONGEST_WAIT)
        self._client = openai.AsyncOpenAI(
            api_key=server.key or "none",
            base_url=server.base_url,
            max_retries=0,
            timeout=openai.Timeout(server.timeout, connect=connect),
        )
        if not server.is_openai:
            self._client.organization = self._client.project = None
        self._answered = self._refused = 0
        self._notes = Notes()
        self._served: dict[str, set[str]] = {"answered_by": set(), "system_fingerprint": set()}

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()

    async def reply(self, body: Mapping[str, Any]) -> Reply:
        """The answer to a request's ``body``, or the failure marked as one.

        Raises:
            UserError: No request would be answered.
        """
        for tries in itertools.count(1):
            try:
                return self._answer(await self._completion(body))
            except openai.APIStatusError as error:
                if error.status_code < 500 and error.status_code not in (408, 409):
                    return Reply(self._refusal(error, body))
                reason = f"the server answered {error.status_code}: {self._words(error)}"
                wait = min(seconds_to_wait(error) or 0.0, LONGEST_ASKED_FOR)
            except (openai.APIConnectionError, TimeoutError, ValueError) as error:
                reason, wait = self._told(self._failure(error)), 0.0
            if tries > self._server.max_retries:
                return Reply(mark_failed(f"{reason} (asked {tries} times)"))
            await asyncio.sleep(max(wait, back_off(self._server.backoff, tries)))
        raise AssertionError("unreachable")

    def tell(self) -> None:
        """Log what a reader of the results should know."""
        self._notes.tell()

    async def _completion(self, body: Mapping[str, Any]) -> ChatCompletion:
        """What the server sends, however often it says that it is asked too often first."""
        rest = {key: value for key, value in body.items() if key not in ("model", "messages")}
        while True:
            async with self._pace.turn() as began:
                try:
                    async with asyncio.timeout(self._server.timeout):
                        return await self._client.chat.completions.create(
                            model=body["model"], messages=body["messages"], extra_body=rest
                        )
                except openai.RateLimitError as error:
                    if is_out_of_credit(error) or is_too_large(error):
                        raise
                    self._pace.refused(began, seconds_to_wait(error))

    def _answer(self, completion: ChatCompletion) -> Reply:
        """Raises ``NoAnswerError`` for what is no whole answer of the model."""
        said = read(completion)
        self._pace.answered()
        self._answered += 1
        self._record(completion)
        if said.end == "filtered":
            self._notes.add("filtered")
            return Reply(mark_failed(CONTENT_FILTER))
        if said.end == "unknown":
            self._notes.add("unknown end", self._told(repr(said.reason)))
        if not said.text.strip():
            if said.end == "length":
                self._notes.add("cut to nothing")
            elif said.thoughts:
                self._notes.add("thoughts alone", said.thoughts)
        key = self._server.key
        text = said.text.replace(key, "[API key]") if len(key) >= _LONG_KEY else said.text
        return Reply(text, None if said.end in ("not said", "unknown") else said.end == "length", said.is_refusal)

    def _record(self, completion: ChatCompletion) -> None:
        """Record which models, by their own account, have answered: a name may come to stand for another one."""
        for fact, said in (("answered_by", completion.model), ("system_fingerprint", completion.system_fingerprint)):
            name = self._told(str(said or ""))
            if name and name not in self._served[fact]:
                self._served[fact].add(name)
                record_provenance(**{fact: ", ".join(sorted(self._served[fact]))})

    def _refusal(self, error: openai.APIStatusError, body: Mapping[str, Any]) -> str:
        """A refused request as failed. Raises ``UserError`` where all are refused."""
        status, words = error.status_code, self._words(error)
        if is_filtered(error):
            self._notes.add("filtered")
            return mark_failed(CONTENT_FILTER)
        if status == 401 and not self._server.key:
            raise UserError(
                f"{self._server.base_url} wants a key: export it, and name its variable by api_key_variable"
            ) from None
        if status in ENDS_THE_RUN:
            raise UserError(f"{self._server.base_url} {ENDS_THE_RUN[status]} ({status}):\n{words}") from None
        if is_out_of_credit(error):
            raise UserError(
                f"{self._server.base_url} answers no more until the account has credit (429):\n{words}"
            ) from None
        self._refused += 1
        reason = f"the server refused it ({status}): {words}{hint(error, body)}"
        if not self._answered and self._refused >= _REFUSED_ALIKE:
            raise UserError(
                f"{self._server.base_url} refused each of the first {self._refused} requests; the last:\n{reason}"
            ) from None
        return mark_failed(reason)

    def _failure(self, error: Exception) -> str:
        """Why no answer came, in one line. Raises ``UserError`` where nothing is there to answer."""
        if isinstance(error, TimeoutError | openai.APITimeoutError):
            reason = f"no answer within {self._server.timeout:g} seconds"
        else:
            reason = str(error) if isinstance(error, NoAnswerError) else failure_reason(error)
        # By name: openai has changed the library whose errors these are.
        if type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout"):
            reason = f"no connection: {error.__cause__}"
            if not self._answered:
                raise UserError(
                    f"no server is to be reached at {self._server.base_url} ({self._told(reason)}); start it, or see base_url"
                ) from None
        return reason

    def _words(self, error: openai.APIStatusError) -> str:
        return self._told(words_of(error))

    def _told(self, text: str) -> str:
        """What a server said, for a message or a file: without the key, and not too long."""
        line = " ".join(writable(hide(text, self._server.key)).split())
        return (
            line if len(line) <= _LONGEST_WORDS else f"{line[: _LONGEST_WORDS - _LAST_WORDS]} … {line[-_LAST_WORDS:]}"
        )
