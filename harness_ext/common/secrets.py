"""What a secret looks like, and how it is kept out of messages, logs, results and pages."""

import functools
import json
import os
import re
from html import escape
from typing import Final
from urllib.parse import quote

PASSWORD_IN_ADDRESS: Final = re.compile(r"://[^/@\s,]+@")
# Not such as add_bos_token, an argument of lm-eval's models.
_NAMED: Final = re.compile(
    r"(?i)(?:^|[\s,{'\"])((?:\w+_)?(?:api_key|password|secret)|(?:(?:hf|hub|auth|access)_)?token)['\"]?\s*[=:](?!\s*(?:True|False|None)\b)"
)
# A token of the hub, wherever it stands; and the value of the option of transformers' trainers that holds one.
_TOKEN: Final = re.compile(r"\bhf_[A-Za-z0-9]{20,}|(?<=--hub[-_]token[ =])\S+")
# A part of a secret that is shorter gives nothing away.
_LEAST_SHOWN: Final = 8


def secret_in(model_args: str) -> str | None:
    """The name of an argument that is a key or a token, or ``"a password in an address"``; ``None`` for neither."""
    if PASSWORD_IN_ADDRESS.search(model_args):
        return "a password in an address"
    found = _NAMED.search(model_args)
    return found[1] if found else None


def hide(text: str, *secrets: str, name: str = "[hidden]") -> str:
    """``text`` with ``name`` in place of ``secrets`` and of tokens of the hub: the environment's, and what looks like one.

    A secret is found as it is, percent-encoded, in JSON and in HTML, and so is each beginning or end of it that is at least
    half of it. What a server has masked (``sk-a***z``) stays. Call this before a text is cut: a smaller part of a secret is
    not found.
    """
    for secret in filter(None, (*secrets, os.environ.get("HF_TOKEN"))):
        text = _shows(secret).sub(name, text)
    return _TOKEN.sub(name, text)


def hide_in_bytes(content: bytes, *secrets: str) -> bytes:
    """As :func:`hide`, in what a file or another process holds, whatever its encoding."""
    return hide(content.decode("utf-8", "surrogateescape"), *secrets).encode("utf-8", "surrogateescape")


@functools.cache
def _shows(secret: str) -> re.Pattern[str]:
    least = min(len(secret), max(len(secret) // 2, _LEAST_SHOWN))
    parts = [part for length in range(len(secret), least - 1, -1) for part in (secret[:length], secret[-length:])]
    written = {
        form for part in parts for form in (part, quote(part), quote(part, ""), json.dumps(part)[1:-1], escape(part))
    }
    # The longest first: the key as JSON may begin with the key as it is.
    found = "|".join(map(re.escape, sorted(written, key=len, reverse=True)))
    if len(secret) < _LEAST_SHOWN:
        # Such a key can be an ordinary word ("EMPTY"): it is hidden as a whole word in its own case alone.
        return re.compile(rf"(?<!\w)(?:{found})(?!\w)")
    return re.compile(found, re.IGNORECASE)
