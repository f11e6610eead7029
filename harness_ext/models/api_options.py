"""The options of an API model, checked before anything is asked. Each function raises ``UserError`` for a wrong one."""

import functools
import ipaddress
import json
import os
import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final
from urllib.parse import quote, urlsplit

from loguru import logger

from harness_ext.common.errors import UserError

OPENAI: Final = "https://api.openai.com/v1"
# What servers call the most tokens of an answer: mostly the first, OpenAI the second.
MAX_TOKENS_KEYS: Final = ("max_tokens", "max_completion_tokens")
# What every request has to say for itself, and what would make of one answer several, or pieces.
_NOT_EXTRA: Final = {"model", "messages", "stream", "n"}
# Ends of names that stand for nothing on the internet: RFC 6761, 6762 and 8375, ICANN's .internal, and usual ones.
_PRIVATE_NAMES: Final = (
    *(".localhost", ".local", ".internal", ".home.arpa", ".test"),
    *(".localdomain", ".lan", ".intranet", ".corp", ".home", ".private", ".svc"),
)
# A part of a secret that is shorter gives nothing away.
_LEAST_SHOWN: Final = 8


def checked_url(base_url: str) -> str:
    """Where an API begins, without a slash at the end."""
    parts = urlsplit(str(base_url))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.rstrip("/").endswith("/completions"):
        raise UserError(
            "base_url must be where the API begins, without /chat/completions, as in http://localhost:8000/v1; "
            f"found {base_url!r}"
        )
    if parts.username or parts.password or parts.query:
        # Not repeated here: it may be a key.
        raise UserError("base_url must hold no user, password or query; a key belongs into an environment variable")
    return str(base_url).rstrip("/")


def is_openai(base_url: str) -> bool:
    """Whether a server is OpenAI's own."""
    host = urlsplit(base_url).hostname or ""
    return host == "openai.com" or host.endswith(".openai.com")


def read_key(base_url: str, variable: str | None) -> str:
    """The key in an environment variable; empty where none is named, so that OpenAI's key is not sent to other servers."""
    if variable is None:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UserError(
            f"{base_url} needs a key, in the environment variable {variable}, which is not set: export {variable}=…\n"
            "Another variable is named by api_key_variable=NAME, another server by base_url=URL."
        )
    if not re.fullmatch("[!-~]+", key):
        raise UserError(f"the key in the environment variable {variable} holds a space, or is not ASCII: copy it anew")
    _refuse_to_show(base_url)
    return key


def _refuse_to_show(base_url: str) -> None:
    """Raises ``UserError`` where a provider would be sent its key as plain text: at a public name and the usual port.

    At another port of a public name, which may be a server of one's own, the user is only warned.
    """
    parts = urlsplit(base_url)
    if parts.scheme == "https" or not _is_public(parts.hostname or ""):
        return
    if parts.port in (None, 80, 443):
        raise UserError(
            f"{base_url} would be sent the key as plain text, for everyone on the way to read: write https:// in base_url"
        )
    logger.warning(f"the key goes to {base_url} as plain text: everyone on the way can read it. With https nobody can")


def _is_public(host: str) -> bool:
    """Whether ``host`` is a name or an address on the internet, as far as can be told without asking for it."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host.rstrip(".") and not host.rstrip(".").endswith(_PRIVATE_NAMES)


def hide(text: str, secret: str, name: str = "[API key]") -> str:
    """``text`` with ``name`` in place of ``secret``, and of each beginning or end of it that is at least half of it.

    The secret is found as it is, percent-encoded, in JSON and in HTML. What a server has masked (``sk-a***z``) stays. Call
    this before a text is cut: a smaller part of a secret is not found.
    """
    return _shows(secret).sub(name, text) if secret else text


def hide_in_bytes(content: bytes, secrets: Iterable[str]) -> bytes:
    """As :func:`hide`, in what a file or another process holds, whatever its encoding."""
    text = content.decode("utf-8", "surrogateescape")
    for secret in secrets:
        text = hide(text, secret, "[hidden]")
    return text.encode("utf-8", "surrogateescape")


@functools.cache
def _shows(secret: str) -> re.Pattern[str]:
    least = min(len(secret), max(len(secret) // 2, _LEAST_SHOWN))
    parts = [part for length in range(len(secret), least - 1, -1) for part in (secret[:length], secret[-length:])]
    written = [write(part) for part in parts for write in (str, quote, _quote_all, _in_json, escape)]
    # The longest first: the key as JSON may begin with the key as it is.
    found = "|".join(map(re.escape, sorted(set(written), key=len, reverse=True)))
    if len(secret) < _LEAST_SHOWN:
        # Such a key can be an ordinary word ("EMPTY"): it is hidden as a whole word in its own case alone.
        return re.compile(rf"(?<!\w)(?:{found})(?!\w)")
    return re.compile(found, re.IGNORECASE)


def _quote_all(part: str) -> str:
    return quote(part, safe="")


def _in_json(part: str) -> str:
    return json.dumps(part)[1:-1]


def extra_fields(given: Mapping[str, Any] | str | None, at_openai: bool) -> dict[str, Any]:
    """Further fields of a request, given as a mapping or in JSON."""
    try:
        fields = json.loads(given) if isinstance(given, str) else given or {}
    except ValueError as error:
        raise UserError(
            f'extra_body must be JSON, as in extra_body={{"top_k":20}}; found {given!r}: {error}'
        ) from error
    if not isinstance(fields, Mapping):
        raise UserError(f"extra_body must be a mapping from fields to values; found {given!r}")
    if taken := sorted(_NOT_EXTRA & fields.keys()):
        raise UserError(f"extra_body may not set {', '.join(taken)}")
    store = fields.get("store", False)
    if store is not False and (store is not None or at_openai):
        raise UserError("extra_body may not set store: what is asked here is never stored at the provider")
    return dict(fields)
