"""What a server's refusal says: it was the content, there is no credit, a field is not taken, come back in so many seconds.

The codes are those that services are known to send; what is none of them is told in the server's own words.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

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
_NOT_TAKEN: Final = re.compile("unsupported|not support|unexpected|unknown|extra|instead", re.IGNORECASE)
_LONGEST_WORDS: Final = 500


def words_of(error: openai.APIStatusError) -> str:
    """What the server said, in one line, without the images that some servers send back."""
    said = error.body.get("message") or error.body.get("detail") if isinstance(error.body, dict) else None
    line = " ".join(str(said or error.body or error.message).split())
    return re.sub(r"data:image/[\w;,+/=-]+", "[image]", line)[:_LONGEST_WORDS]


def is_filtered(error: openai.APIStatusError) -> bool:
    """Whether a service refuses to answer for what it was shown."""
    return error.status_code in (400, 403, 422) and bool(_FILTERED.search(str(error.body)))


def is_out_of_credit(error: openai.APIStatusError) -> bool:
    """Whether it is of no use to wait, though the status is that of being asked too often."""
    return error.status_code == 429 and bool(_OUT_OF_CREDIT.search(f"{error.code} {error.type}"))


def is_too_large(error: openai.APIStatusError) -> bool:
    """Whether a request by itself is over a rate limit (OpenAI's of tokens a minute), and will be whenever it is asked."""
    return error.status_code == 429 and "too large" in words_of(error)


def hint(error: openai.APIStatusError, body: Mapping[str, Any]) -> str:
    """What to do about a field of ``body`` that the server says it does not take; empty where it says nothing like it."""
    words = words_of(error)
    if not _NOT_TAKEN.search(words):
        return ""
    named = [key for key in body if key not in ("model", "messages") and re.search(rf"[\"'`]{key}[\"'`]", words)]
    for refused, other in (MAX_TOKENS_KEYS, MAX_TOKENS_KEYS[::-1]):
        if refused in named:
            return f"; set max_tokens_key={other}"
    if "temperature" in named:
        return (
            "; a model of one temperature only is asked by --gen_kwargs do_sample=true,temperature=1,top_p=1, "
            'a judge by extra_body={"temperature":null}'
        )
    return f'; extra_body={{"{named[0]}":null}} leaves it out' if named else ""


def seconds_to_wait(error: openai.APIStatusError) -> float | None:
    """How long the server asks to wait: its header ``Retry-After``, which is in seconds or a date; ``None`` without one."""
    said = error.response.headers.get("retry-after", "")
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
