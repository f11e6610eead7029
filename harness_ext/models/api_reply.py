"""Reading a chat completion: what the model said, and whether that is all of it.

Servers that call themselves OpenAI-compatible do not agree on how an answer ends. Here an answer is whole where the model
ended it, where its tokens were used up, and where the server does not say. It is none where the server broke it off.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import httpx2

from harness_ext.common.failures import from_outside
from harness_ext.models.api_errors import is_filter_word, said

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
}
# By OpenRouter, Mistral, Cohere (error), vLLM and SGLang (abort), DeepSeek (insufficient_system_resource), Z.ai
# (network_error), Ollama (load, unload), watsonx (cancelled, time_limit, not_finished), Google (malformed_…, other).
_BROKEN_OFF: Final = re.compile(
    "error|abort|cancel|fail|time_?out|time_limit|insufficient|not_finished|malformed|unload|^load$|^other$"
)
# Parts of a content, by what holds their text; of the others the text is no part of the answer.
_TEXT_PARTS: Final[dict[object, str]] = {"text": "text", "output_text": "text", "refusal": "refusal"}
_THINKING_PARTS: Final = {"thinking", "redacted_thinking", "reasoning", "reasoning_text", "reasoning_content"}


class NoAnswerError(httpx2.RequestError):
    """A server sent no answer of the model; the message says what it sent. openai's client sends the request again."""


@dataclass(frozen=True)
class Completed:
    """What a model said.

    Attributes:
        text: Its answer, without its thoughts; empty where there is none.
        end: How it ended.
        reason: How it ended, as the server calls it.
        is_refusal: Whether the API marks it as a refusal to answer.
        thoughts: The name of the field that the server put all text in, where the answer is empty and that is not.
        model: Which model answered, by its own account.
        fingerprint: The server's ``system_fingerprint``.
    """

    text: str
    end: End
    reason: str
    is_refusal: bool = False
    thoughts: str = ""
    model: object = None
    fingerprint: object = None


def read(response: httpx2.Response) -> Completed:
    """Read the completion in a response of status 200; nothing is taken for granted about it.

    Raises:
        NoAnswerError: It is no chat completion, tells of an error, was broken off, or has a content of an unknown kind.
    """
    try:
        completion = response.json()
        choices = completion.get("choices")
        choice = choices[0] if choices else {}
        # OpenRouter's places, beside an answer or in place of one, with status 200.
        if error := completion.get("error") or choice.get("error"):
            if is_filter_word(error):
                return Completed("", "filtered", "error")
            raise NoAnswerError(f"the server answered with an error: {said(error)}")
        message = choice["message"]
        content, refusal = message.get("content"), message.get("refusal")
        parts = content if isinstance(content, list) else [content]
        text = "".join(map(_text, parts))
        end, reason = _end(choice.get("finish_reason"))
    except (ValueError, AttributeError, LookupError, TypeError) as broken:
        raise NoAnswerError(f"not a chat completion: {response.text}") from broken
    answer = text if text.strip() or not isinstance(refusal, str) else refusal
    return Completed(
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
    if known in ("", "null", "none"):
        return "not said", reason
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
