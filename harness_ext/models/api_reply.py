"""Reading what a server sends: the model's answer and how it ended, or why there is none.

Servers that call themselves OpenAI-compatible differ in both. An answer is whole where the model ended it, where its tokens
were used up, and where the server does not say. It is none where the server broke it off. An error is known by the codes that
services are known to send, and told in the server's own words.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import httpx2
import openai

from harness_ext.common.failures import from_outside
from harness_ext.models.api_options import MAX_TOKENS_KEYS

End = Literal["whole", "length", "filtered", "not said", "unknown"]

_ENDS: Final[dict[End, set[str]]] = {
    # By OpenAI, TGI (eos_token, stop_sequence), Together (eos), Anthropic (end_turn), Cohere (complete). A model that calls a
    # tool, though it was offered none, has ended its turn itself.
    "whole": {
        *("stop", "eos", "eos_token", "stop_sequence", "end_turn", "complete", "completed"),
        *("tool_calls", "function_call", "tool_use"),
    },
    # By OpenAI, Mistral (model_length), Anthropic and Google (max_tokens), Z.ai (model_context_window_exceeded).
    "length": {"length", "max_tokens", "max_length", "model_length", "token_limit", "model_context_window_exceeded"},
    # By OpenAI, Google, Anthropic (refusal: a classifier's, not the model's), Z.ai (sensitive), Amazon, Cohere.
    "filtered": {
        *("content_filter", "content_filtered", "safety", "image_safety", "prohibited_content", "blocklist", "spii"),
        *("recitation", "refusal", "sensitive", "guardrail_intervened", "error_toxic"),
    },
    "not said": {"", "null", "none"},
}
# By OpenRouter, Mistral, Cohere (error), vLLM and SGLang (abort), DeepSeek (insufficient_system_resource), Z.ai
# (network_error), Ollama (load, unload), watsonx (cancelled, time_limit, not_finished), Google (malformed_…, other).
_BROKEN_OFF: Final = re.compile(
    "error|abort|cancel|fail|time_?out|time_limit|insufficient|not_finished|malformed|unload|^load$|^other$"
)
# Parts of a content, by what holds their text; the text of the others is no part of the answer.
_TEXT_PARTS: Final[dict[object, str]] = {"text": "text", "output_text": "text", "refusal": "refusal"}
_THINKING_PARTS: Final = {"thinking", "redacted_thinking", "reasoning", "reasoning_text", "reasoning_content"}
# OpenAI and Azure say so by codes, OpenRouter in words, DashScope by a code.
_FILTERED: Final = re.compile(
    "content_filter|content_policy|ResponsibleAIPolicy|moderation_blocked|data_?inspection_?failed|flagged",
    re.IGNORECASE,
)
# https://platform.openai.com/docs/guides/error-codes
_OUT_OF_CREDIT: Final = re.compile("insufficient_quota|credit_balance|billing|spend_limit|usage_limit", re.IGNORECASE)
# Where the words of an error are, the outermost first; OpenRouter has those of the provider behind it in metadata.raw.
_WORDS: Final = ("message", "detail", "error", "errors", "metadata", "raw")
# An error within an error of another server; OpenRouter's has five layers.
_MOST_WRAPPED: Final = 20
_NOT_TAKEN: Final = re.compile(
    "unsupported|not (?:support|permit|allow)|unexpected|unknown|unrecogni[sz]ed|extra|instead|forbidden|cannot find",
    re.IGNORECASE,
)
# What follows is fields that a server would take, or what it was sent.
_OTHER_FIELDS: Final = re.compile(r",? expected (?:one of )?|\buse [\"'`]|[\"']input[\"']:", re.IGNORECASE)


class NoAnswerError(httpx2.RequestError):
    """A server sent no answer of the model; the message says what it sent. openai's client sends the request again."""


class TooMuchError(openai.OpenAIError):
    """A server sent more than is read; the message says so. openai's client hands it on, and does not send again."""


@dataclass(frozen=True)
class Reply:
    """What came of a request.

    Attributes:
        text: The model's answer without its thoughts, empty where there is none; or the failure marked as one.
        end: How it ended.
        reason: How it ended, as the server calls it.
        is_refusal: Whether the API marks it as a refusal to answer.
        thoughts: The name of the field that the server put all text in, where the answer is empty and that is not.
        model: Which model answered, by its own account.
        fingerprint: The server's ``system_fingerprint``.
    """

    text: str
    end: End = "not said"
    reason: str = ""
    is_refusal: bool = False
    thoughts: str = ""
    model: object = None
    fingerprint: object = None

    @property
    def cut_short(self) -> bool | None:
        """Whether it ended because its tokens were used up; ``None`` where the server does not say."""
        return None if self.end in ("not said", "unknown") else self.end == "length"


def read(response: httpx2.Response) -> Reply:
    """Read the completion in a response of status 200, whatever it holds.

    Raises:
        NoAnswerError: It is no chat completion, tells of an error, was broken off, or has a content of an unknown kind.
    """
    try:
        completion = response.json()
        choices = completion.get("choices")
        choice = choices[0] if choices else {}
        # OpenRouter's places, beside an answer or in place of one, with status 200.
        if error := completion.get("error") or choice.get("error"):
            if _FILTERED.search(str(error)):
                return Reply("", "filtered", "error")
            raise NoAnswerError(f"the server answered with an error: {_said(error)}")
        message = choice["message"]
        content, refusal = message.get("content"), message.get("refusal")
        parts = content if isinstance(content, list) else [content]
        text = "".join(map(_text, parts))
        end, reason = _end(choice.get("finish_reason"))
    except (ValueError, AttributeError, LookupError, TypeError, RecursionError) as broken:
        raise NoAnswerError(f"not a chat completion: {response.text}") from broken
    answer = text if text.strip() or not isinstance(refusal, str) else refusal
    return Reply(
        text=from_outside(answer),
        end=end,
        reason=reason,
        is_refusal=bool(refusal) or any(_kind(part) == "refusal" for part in parts),
        thoughts="" if answer.strip() else _thoughts(message, parts),
        model=completion.get("model"),
        fingerprint=completion.get("system_fingerprint"),
    )


def _end(finish: object) -> tuple[End, str]:
    reason = str(finish or "")
    known = reason.casefold()
    for end, names in _ENDS.items():
        if known in names:
            return end, reason
    if _BROKEN_OFF.search(known):
        raise NoAnswerError(f"the server broke the answer off: finish_reason {reason!r}")
    return "unknown", reason


def _kind(part: object) -> object:
    return part.get("type") if isinstance(part, Mapping) else None


def _text(part: Any) -> str:
    """What a content, or a part of one, adds to the answer."""
    if part is None or _kind(part) in _THINKING_PARTS:
        return ""
    text = part.get(_TEXT_PARTS.get(part.get("type"), "")) if isinstance(part, Mapping) else part
    if not isinstance(text, str):
        raise NoAnswerError(
            f"a part of the content is neither text nor thinking, but of type {_kind(part)!r}: {part!r}"
        )
    return text


def _thoughts(message: Mapping[str, object], parts: Sequence[object]) -> str:
    """The field of a message that holds what the model thought; empty if none does."""
    if any(_kind(part) in _THINKING_PARTS for part in parts):
        return "content"
    for name in ("reasoning_content", "reasoning"):
        if isinstance(thoughts := message.get(name), str) and thoughts.strip():
            return name
    return ""


# --- errors ---


def words_of(error: openai.APIStatusError) -> str:
    """What the server said, in one line, without the images that some servers send back."""
    return _said(error.response.text) or error.message


def _said(body: object) -> str:
    """As :func:`words_of`, of text, or of JSON read or unread: OpenAI's, FastAPI's details, one error wrapped in another."""
    line = " ".join("; ".join(dict.fromkeys(_words(body))).split())
    return re.sub(r"data:image/[\w;,+/=-]+", "[image]", line or str(body))


def _words(body: object, depth: int = 0) -> Iterator[str]:
    if depth > _MOST_WRAPPED:
        return
    if isinstance(body, str):
        try:
            inner = json.loads(body) if body.lstrip()[:1] in ("{", "[") else None
        except (ValueError, RecursionError):
            inner = None
        yield from list(_words(inner, depth + 1)) or filter(None, [body.strip()])
    elif isinstance(body, Mapping):
        if isinstance(body.get("msg"), str):
            # pydantic's: where it is, and what is wrong with it. It also repeats what it was given.
            place = body.get("loc")
            yield f"{'.'.join(map(str, place))}: {body['msg']}" if isinstance(place, list) else body["msg"]
        for key in _WORDS:
            yield from _words(body.get(key), depth + 1)
    elif isinstance(body, Sequence):
        for part in body:
            yield from _words(part, depth + 1)


def is_filtered(error: openai.APIStatusError) -> bool:
    """Whether a service refuses to answer for what it was shown."""
    return error.status_code in (400, 403, 422) and bool(_FILTERED.search(error.response.text))


def is_out_of_credit(response: httpx2.Response) -> bool:
    """Whether it is of no use to wait, though the status (429) is that of being asked too often."""
    try:
        body = response.json()
        error = body.get("error", body)
        return response.status_code == 429 and bool(_OUT_OF_CREDIT.search(f"{error.get('code')} {error.get('type')}"))
    except (ValueError, AttributeError, RecursionError):
        return False


def is_too_large(response: httpx2.Response) -> bool:
    """Whether a request by itself is over a rate limit (OpenAI's of tokens a minute), and will be whenever it is asked."""
    return response.status_code == 429 and "too large" in _said(response.text)


def hint(error: openai.APIStatusError, sent: Iterable[str]) -> str:
    """What to do about the field among those ``sent`` that the server says it does not take; empty where it names none."""
    words = words_of(error)
    if not _NOT_TAKEN.search(words):
        return ""
    found = re.findall(r"[\w-]+", _OTHER_FIELDS.split(words)[0])
    named = set(sent) & {error.param} or set(sent) & set(found)
    # More than one is likely no list of fields, but a sentence.
    refused = named.pop() if len(named) == 1 else ""
    if refused in MAX_TOKENS_KEYS:
        return f"; set max_tokens_key={MAX_TOKENS_KEYS[refused == MAX_TOKENS_KEYS[0]]}"
    if refused == "temperature":
        return (
            "; a model of one temperature only is asked by --gen_kwargs do_sample=true,temperature=1,top_p=1, "
            'a judge by extra_body={"temperature":null}'
        )
    return f'; extra_body={{"{refused}":null}} leaves it out' if refused else ""
