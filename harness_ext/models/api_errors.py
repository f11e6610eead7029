"""What a server's refusal says: it was the content, there is no credit, a field is not taken.

The codes are those that services are known to send; what is none of them is told in the server's own words.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import httpx2
import openai

from harness_ext.models.api_options import MAX_TOKENS_KEYS

# Of every request, with what it means and what there is to do.
ENDS_THE_RUN: Final = {
    401: "does not accept the key, which is that in the environment variable named by api_key_variable",
    402: "wants to be paid first",
    403: "does not allow it",
    404: "does not know the model, or base_url is not where its API begins (it mostly ends in /v1)",
    405: "has no chat completions there: base_url is not where its API begins (it mostly ends in /v1)",
}
# OpenAI and Azure say so by codes, OpenRouter in words, DashScope by a code.
_FILTERED: Final = re.compile(
    "content_filter|content_policy|ResponsibleAIPolicy|moderation_blocked|data_?inspection_?failed|flagged",
    re.IGNORECASE,
)
# https://platform.openai.com/docs/guides/error-codes
_OUT_OF_CREDIT: Final = re.compile("insufficient_quota|credit_balance|billing|spend_limit|usage_limit", re.IGNORECASE)
# Where the words of an error are, the outermost first; OpenRouter has those of the provider behind it in metadata.raw.
_WORDS: Final = ("message", "detail", "error", "errors", "metadata", "raw")
_NOT_TAKEN: Final = re.compile(
    "unsupported|not (?:support|permit|allow)|unexpected|unknown|unrecogni[sz]ed|extra|instead|forbidden|cannot find",
    re.IGNORECASE,
)
# What follows is fields that a server would take, or what it was sent.
_OTHER_FIELDS: Final = re.compile(r",? expected (?:one of )?|\buse [\"'`]|[\"']input[\"']:", re.IGNORECASE)
# A field that is named without quotes stands between words like these.
_BEFORE_A_FIELD: Final = (
    r"(?:supplied|fields?|arguments?|param(?:eter)?s?|propert(?:y|ies)|names?|inputs?|keys?|body)\s*(?:->|[:.=])?\s*"
)
_AFTER_A_FIELD: Final = (
    r"(?:\s*->)?:?\s+(?:extra (?:input|field)|(?:(?:is|are) )?(?:not |un)(?:support|permit|allow|known|expect|recogni))"
)


def said(body: object) -> str:
    """What the body of an error says, in one line, without the images that some servers send back.

    Args:
        body: Text, or JSON read or unread, of any form: OpenAI's, FastAPI's list of details, one error wrapped in another.
    """
    line = " ".join("; ".join(dict.fromkeys(_words(body))).split())
    return re.sub(r"data:image/[\w;,+/=-]+", "[image]", line or str(body))


def _words(body: object) -> Iterator[str]:
    if isinstance(body, str):
        try:
            inner = json.loads(body) if body.lstrip()[:1] in ("{", "[") else None
        except ValueError:
            inner = None
        if inner is None or not (words := list(_words(inner))):
            yield from filter(None, [body.strip()])
        else:
            yield from words
    elif isinstance(body, Mapping):
        if isinstance(body.get("msg"), str):
            # pydantic's: where it is, and what is wrong with it. It also repeats what it was given.
            place = body.get("loc")
            yield f"{'.'.join(map(str, place))}: {body['msg']}" if isinstance(place, list) else body["msg"]
        for key in _WORDS:
            yield from _words(body.get(key))
    elif isinstance(body, Sequence):
        for part in body:
            yield from _words(part)


def words_of(error: openai.APIStatusError) -> str:
    """What the server said, in one line."""
    return said(error.response.text) or error.message


def is_filter_word(error: object) -> bool:
    """Whether an error, as a server has it, speaks of content that a service does not answer."""
    return bool(_FILTERED.search(str(error)))


def is_filtered(error: openai.APIStatusError) -> bool:
    """Whether a service refuses to answer for what it was shown."""
    return error.status_code in (400, 403, 422) and is_filter_word(error.body)


def is_out_of_credit(response: httpx2.Response) -> bool:
    """Whether it is of no use to wait, though the status (429) is that of being asked too often."""
    if response.status_code != 429:
        return False
    try:
        body = response.json()
        error = body.get("error", body)
        return bool(_OUT_OF_CREDIT.search(f"{error.get('code')} {error.get('type')}"))
    except (ValueError, AttributeError):
        return False


def is_too_large(response: httpx2.Response) -> bool:
    """Whether a request by itself is over a rate limit (OpenAI's of tokens a minute), and will be whenever it is asked."""
    return response.status_code == 429 and "too large" in said(response.text)


def hint(error: openai.APIStatusError, body: Mapping[str, Any]) -> str:
    """What to do about a field of ``body`` that the server says it does not take; empty where it says nothing like it."""
    refused = _refused(error, [key for key in body if key not in ("model", "messages")])
    if refused in MAX_TOKENS_KEYS:
        return f"; set max_tokens_key={MAX_TOKENS_KEYS[refused == MAX_TOKENS_KEYS[0]]}"
    if refused == "temperature":
        return (
            "; a model of one temperature only is asked by --gen_kwargs do_sample=true,temperature=1,top_p=1, "
            'a judge by extra_body={"temperature":null}'
        )
    return f'; extra_body={{"{refused}":null}} leaves it out' if refused else ""


def _refused(error: openai.APIStatusError, sent: Sequence[str]) -> str:
    """The field among those ``sent`` that the server does not take; empty where it names none of them."""
    words = words_of(error)
    if not _NOT_TAKEN.search(words):
        return ""
    if error.param in sent:
        return str(error.param)
    about = _OTHER_FIELDS.split(words)[0]
    for key in sent:
        name = re.escape(key)
        bare = rf"{_BEFORE_A_FIELD}(?:[\w, ]*, )?{name}\b|\b{name}{_AFTER_A_FIELD}"
        if re.search(rf"[\"'`]{name}[\"'`]", about) or re.search(bare, about, re.IGNORECASE):
            return key
    return ""
