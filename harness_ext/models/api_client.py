"""Asking questions of an OpenAI-compatible server, several at a time, until each is answered, refused, or given up.

openai's client retries what may pass. Below it, ours (``api_http.py``) adds what it cannot see: an answer that never ends,
and a status of 200 without an answer. This file decides what the remaining errors mean: the service's content filter refused,
the request is wrong by itself, or every request would meet the same (a wrong key, an unknown model), which ends the run.
"""

import asyncio
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal, TypeVar

import httpx2
import openai
from loguru import logger

from harness_ext.common.errors import UserError, shown
from harness_ext.common.failures import CONTENT_FILTER, failure_reason, mark_failed, writable
from harness_ext.common.provenance import record_provenance
from harness_ext.common.secrets import hide
from harness_ext.models.api_http import BoundedClient
from harness_ext.models.api_options import checked_url, is_openai, read_key
from harness_ext.models.api_reply import (
    NoAnswerError,
    Reply,
    TooMuchError,
    hint,
    is_filtered,
    is_out_of_credit,
    is_too_large,
    read,
    words_of,
)

# Seconds. openai's client does not retry at all where a server asks for a longer wait than this.
_LONGEST_WAIT: Final = 120.0
_LONGEST_DOUBLED: Final = 60.0
# The longest wait that a server may ask for before the run ends instead.
_LONGEST_ASKED_FOR: Final = 600.0
# A wait from here on is logged.
_LONG_WAIT: Final = 10.0
# A wait is drawn out by up to this share at random, so that several processes do not come back at the same moment.
_SPREAD: Final = 0.25
# Refused for no reason of its own that we know: after so many, and not one answer, all are thought to be refused.
_REFUSED_ALIKE: Final = 3
# A server's words in a message: the beginning, and the end, where a wrapped error has its own.
_LONGEST_WORDS: Final = 500
_LAST_WORDS: Final = 200
# No model says a key of so many characters but from a server that repeats it.
_LONG_KEY: Final = 16
# Models that a server may say it is, in the results.
_MOST_NAMES: Final = 10

# Statuses that every request would meet, with what they mean and what there is to do.
_ENDS_THE_RUN: Final = {
    401: "does not accept the key, which is that in the environment variable named by api_key_variable",
    402: "wants to be paid first",
    403: "does not allow it",
    404: "does not know the model, or base_url is not where its API begins (it mostly ends in /v1)",
    405: "has no chat completions there: base_url is not where its API begins (it mostly ends in /v1)",
}
Event = Literal["filtered", "cut to nothing", "thoughts alone", "unknown end"]
# What a reader of the results should know: a line about the first one (`{what}` is a server's word for it), and about all.
_TOLD: Final[dict[Event, tuple[str, str]]] = {
    "filtered": ("", "{count} requests were refused by the service's content filter and recorded as failed"),
    "cut to nothing": (
        "an answer is empty because max_new_tokens was used up before it began: a model that reasons needs more, "
        "--gen_kwargs max_new_tokens=4096, a judge --judge_args max_new_tokens=4096",
        "{count} answers were empty because max_new_tokens was used up before they began",
    ),
    "thoughts alone": (
        "an answer is empty, and its text is in {what}, where a server's reasoning parser puts a model's thoughts. Start the "
        "server with the parser that belongs to the model (vLLM and SGLang: --reasoning-parser), or with none if the model "
        "does not think, and ask again with another folder: --model_args answers=FOLDER",
        "{count} answers were empty because the server's reasoning parser (--reasoning-parser) took all their text for "
        "thoughts; they are no answers of the model",
    ),
    "unknown end": (
        "the server ended an answer for the reason {what}, which is unknown here: it is taken as whole, see that it is",
        "{count} answers ended for a reason that is unknown here, and were taken as whole",
    ),
}

_Item = TypeVar("_Item")
_Given = TypeVar("_Given")


@dataclass(frozen=True)
class Server:
    """Where to ask, and how; the options are those of :class:`harness_ext.models.api.OpenAICompatible`.

    ``key`` is empty for a server without one. Only OpenAI's own is told the environment's OpenAI organization and project.
    """

    base_url: str
    key: str = field(repr=False)
    is_openai: bool
    concurrency: int
    timeout: float
    max_retries: int
    backoff: float


def open_server(
    base_url: str, api_key_variable: str | None, concurrency: int, timeout: float, max_retries: int, backoff: float
) -> Server:
    """The server at ``base_url``, with its key. Raises ``UserError`` where the address is wrong or the key is missing."""
    base_url = checked_url(base_url)
    at_openai = is_openai(base_url)
    key = read_key(base_url, api_key_variable or ("OPENAI_API_KEY" if at_openai else None))
    return Server(base_url, key, at_openai, concurrency, timeout, max_retries, backoff)


class ChatClient:
    """A server's chat completions; for one event loop."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._client = openai.AsyncOpenAI(
            api_key=server.key or "none",
            base_url=server.base_url,
            max_retries=server.max_retries,
            timeout=self._limit(server.timeout),
            http_client=BoundedClient(server.timeout, self._examine),
        )
        if not server.is_openai:
            self._client.organization = self._client.project = None
        self._answered = self._refused = 0
        self._events: Counter[Event] = Counter()
        self._served: dict[str, set[str]] = {"answered_by": set(), "system_fingerprint": set()}

    def _limit(self, seconds: float) -> openai.Timeout:
        return openai.Timeout(seconds, connect=min(self._server.timeout, _LONGEST_DOUBLED))

    async def require_server(self) -> None:
        """Raise ``UserError`` where no server is at the address: openai's client would try again and again."""
        try:
            async with (
                httpx2.AsyncClient(timeout=self._limit(_LONG_WAIT)) as client,
                client.stream("HEAD", self._server.base_url),
            ):
                pass
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise UserError(
                f"no server can be reached at {self._server.base_url} (no connection: {error}); start it, or see base_url"
            ) from None
        except httpx2.RequestError:
            # Something is there, which may answer a question better.
            pass

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()

    def tell(self) -> None:
        """Log what a reader of the results should know."""
        for event, count in self._events.items():
            logger.warning(_TOLD[event][1].format(count=count))

    async def reply(self, body: Mapping[str, Any]) -> Reply:
        """The answer to a request's ``body``, or the failure marked as one.

        Raises:
            UserError: No request would be answered.
        """
        extra = {key: value for key, value in body.items() if key not in ("model", "messages")}
        while True:
            answered_before = self._answered
            try:
                return self._answer(self._read(await self._send(body, extra)))
            except TooMuchError as error:
                return Reply(mark_failed(str(error)))
            except openai.APIConnectionError as error:
                return _given_up(error, self._why_no_answer(error))
            except openai.APIStatusError as error:
                status = error.status_code
                if _may_pass(status) and status != 429:
                    return _given_up(error, f"the server answered {status}: {self._told(words_of(error))}")
                if status != 429 or is_out_of_credit(error.response) or is_too_large(error.response):
                    return Reply(self._refusal(error, extra))
                if self._answered == answered_before:
                    raise UserError(
                        f"the server said {_times_sent(error.request)} times in a row that it is asked too often, and "
                        "answered nothing between; what it answered before is kept: run the same command later, or with "
                        "concurrency=1"
                    ) from None

    async def _send(self, body: Mapping[str, Any], extra: Mapping[str, Any]) -> httpx2.Response:
        """What the server sends to a request; ``extra`` are the fields beside those that openai's client names."""
        sent = await self._client.chat.completions.with_raw_response.create(
            model=body["model"], messages=body["messages"], extra_body=extra
        )
        return sent.http_response

    def _read(self, response: httpx2.Response) -> Reply:
        """What came of a request. Raises ``NoAnswerError`` where it is no answer."""
        return read(response)

    def _examine(self, response: httpx2.Response) -> None:
        """Tell openai's client, which is given each response after this, what to send again, and after how long."""
        if response.is_success:
            self._read(response)
            return
        if not _may_pass(response.status_code) or is_out_of_credit(response) or is_too_large(response):
            response.headers["x-should-retry"] = "false"
            return
        asked_for = asked_to_wait(response.headers)
        if asked_for > _LONGEST_ASKED_FOR:
            raise UserError(
                f"the server says {response.status_code} and asks to wait {asked_for:.0f} seconds before it answers again; "
                "what it answered is kept, and the same command resumes from there then"
            )
        doubled = self._server.backoff * 2.0 ** (_times_sent(response.request) - 1)
        wait = max(min(asked_for, _LONGEST_WAIT), min(doubled, _LONGEST_DOUBLED) * random.uniform(1, 1 + _SPREAD))
        # A wait of 0 would be none to openai's client, which then takes its own.
        response.headers["retry-after-ms"] = str(max(1.0, 1000 * wait))
        if wait >= _LONG_WAIT:
            why = "asked too often" if response.status_code == 429 else f"the server says {response.status_code}"
            logger.info(f"{why}: a request waits for {wait:.0f} seconds")

    def _answer(self, reply: Reply) -> Reply:
        self._answered += 1
        self._record(answered_by=reply.model, system_fingerprint=reply.fingerprint)
        if reply.end == "filtered":
            self._note("filtered")
            return Reply(mark_failed(CONTENT_FILTER))
        if reply.end == "unknown":
            self._note("unknown end", self._told(repr(reply.reason)))
        if not reply.text.strip():
            if reply.end == "length":
                self._note("cut to nothing")
            elif reply.thoughts:
                self._note("thoughts alone", reply.thoughts)
        key = self._server.key
        return replace(reply, text=reply.text.replace(key, "[API key]")) if len(key) >= _LONG_KEY else reply

    def _note(self, event: Event, what: str = "") -> None:
        self._events[event] += 1
        if self._events[event] == 1 and (first := _TOLD[event][0]):
            logger.warning(first.format(what=what))

    def _record(self, **said: object) -> None:
        """Record which models, by their own account, have answered: a name may come to stand for another one."""
        for fact, value in said.items():
            name = self._told(value) if isinstance(value, str) else ""
            served = self._served[fact]
            if name and name not in served and len(served) <= _MOST_NAMES:
                served.add(name if len(served) < _MOST_NAMES else "and others")
                record_provenance(**{fact: ", ".join(sorted(served))})

    def _refusal(self, error: openai.APIStatusError, sent: Iterable[str]) -> str:
        """A refused request as failed. Raises ``UserError`` where all are refused."""
        status, words, url = error.status_code, self._told(words_of(error)), self._server.base_url
        if is_filtered(error):
            self._note("filtered")
            return mark_failed(CONTENT_FILTER)
        if status == 401 and not self._server.key:
            raise UserError(f"{url} wants a key: export it, and name its variable by api_key_variable") from None
        if 300 <= status < 400:
            place = self._told(error.response.headers.get("location", "nowhere"))
            raise UserError(
                f"{url} sends the request on ({status}) to {shown(place)}: nothing was sent there. If the API is there, name "
                "it as base_url"
            ) from None
        if status in _ENDS_THE_RUN:
            raise UserError(f"{url} {_ENDS_THE_RUN[status]} ({status}):\n{words}") from None
        if is_out_of_credit(error.response):
            raise UserError(f"{url} answers no more until the account has credit (429):\n{words}") from None
        self._refused += 1
        reason = f"the server refused it ({status}): {words}{hint(error, sent)}"
        if not self._answered and self._refused >= _REFUSED_ALIKE:
            raise UserError(f"{url} refused each of the first {self._refused} requests; the last:\n{reason}") from None
        return mark_failed(reason)

    def _why_no_answer(self, error: openai.APIConnectionError) -> str:
        if isinstance(error, openai.APITimeoutError):
            return f"no answer within {self._server.timeout:g} seconds"
        cause = error.__cause__ or error
        if isinstance(cause, httpx2.ConnectError):
            return self._told(f"no connection: {cause}")
        return self._told(str(cause) if isinstance(cause, NoAnswerError) else failure_reason(error))

    def _told(self, text: str) -> str:
        """What a server said, for a message or a file: without the key, and not too long."""
        line = " ".join(text.split())
        # Far more than is shown, so that no key is cut where it would be shown; not all, for a text may have megabytes.
        longest = 20 * _LONGEST_WORDS + 300 * len(self._server.key)
        if len(line) > 2 * longest:
            line = f"{line[:longest]} … {line[-longest:]}"
        line = writable(hide(line, self._server.key, name="[API key]"))
        if len(line) <= _LONGEST_WORDS:
            return line
        return f"{line[: _LONGEST_WORDS - _LAST_WORDS]} … {line[-_LAST_WORDS:]}"


def _may_pass(status: int) -> bool:
    """Whether a request that was refused by this status is sent again."""
    return status >= 500 or status in (408, 409, 429)


def _times_sent(request: httpx2.Request) -> int:
    return int(request.headers["x-stainless-retry-count"]) + 1


def _given_up(error: openai.APIStatusError | openai.APIConnectionError, reason: str) -> Reply:
    return Reply(mark_failed(f"{reason} (asked {_times_sent(error.request)} times)"))


def asked_to_wait(headers: httpx2.Headers) -> float:
    """Seconds that a server asks to wait by ``retry-after-ms`` or ``Retry-After``; 0 where it does not, or makes no sense."""
    said = headers.get("retry-after", "")
    try:
        wait = float(headers["retry-after-ms"]) / 1000 if "retry-after-ms" in headers else float(said)
    except ValueError:
        try:
            wait = (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError, OverflowError):
            return 0.0
    return max(0.0, wait) if math.isfinite(wait) else 0.0


def several_at_a_time(
    server: Server,
    items: Iterable[_Item],
    ask: Callable[[ChatClient, _Item], Coroutine[Any, Any, _Given]],
    opened: Callable[[Server], ChatClient] = ChatClient,
) -> Iterator[tuple[_Item, _Given]]:
    """Each item with what ``ask`` gives for it, as it comes; as many under way as the server's ``concurrency``.

    Starts the next item only after the caller has taken the previous result, so an interruption loses nothing that the caller
    stores at once. Raises what ``ask`` raises, after all results that came before.
    """
    with asyncio.Runner() as runner:
        client = opened(server)
        under_way: dict[asyncio.Task[_Given], _Item] = {}
        waiting = iter(items)
        try:
            runner.run(client.require_server())
            while True:
                for item in itertools.islice(waiting, server.concurrency - len(under_way)):
                    under_way[runner.get_loop().create_task(ask(client, item))] = item
                if not under_way:
                    return
                try:
                    runner.run(asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED))
                finally:
                    # Ctrl-C too: what was answered by then is kept. What ends the run comes last.
                    done = [task for task in under_way if task.done()]
                    for task in sorted(done, key=lambda task: task.exception() is not None):
                        yield under_way[task], task.result()
                        del under_way[task]
        finally:
            runner.run(_leave(client, under_way))
            client.tell()


async def _leave(client: ChatClient, under_way: Mapping["asyncio.Task[Any]", object]) -> None:
    """Cancel what is under way, and wait until it has ended."""
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)
    await client.close()
