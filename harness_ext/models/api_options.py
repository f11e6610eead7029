"""The options of an API model, checked before anything is asked. Each function raises ``UserError`` for a wrong one."""

import ipaddress
import json
import os
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
from loguru import logger

from harness_ext.common.errors import UserError, shown

OPENAI: Final = "https://api.openai.com/v1"
# What servers call the most tokens of an answer: mostly the first, OpenAI the second.
MAX_TOKENS_KEYS: Final = ("max_tokens", "max_completion_tokens")
# What vLLM and SGLang call the options of a chat template.
TEMPLATE_KEY: Final = "chat_template_kwargs"
# What every request has to say for itself, and what would make of one answer several, or pieces.
_NOT_EXTRA: Final = {"model", "messages", "stream", "n"}
# Ends of names that stand for nothing on the internet: RFC 6761, 6762 and 8375, ICANN's .internal, and usual ones.
_PRIVATE_NAMES: Final = (
    *(".localhost", ".local", ".internal", ".home.arpa", ".test"),
    *(".localdomain", ".lan", ".intranet", ".corp", ".home", ".private", ".svc"),
)


def checked_url(base_url: str) -> str:
    """Where an API begins, without a slash at the end."""
    given = str(base_url)
    if "@" in given or "?" in given:
        # Not repeated here: it may be a key.
        raise UserError("base_url must hold no user, password or query; a key belongs into an environment variable")
    expected = (
        "base_url must be where the API begins, without /chat/completions, as in http://localhost:8000/v1; found "
    )
    try:
        parts = urlsplit(given)
        # The port and the name as the resolver will read them, which otherwise fails at the first request.
        possible = parts.hostname and parts.port != 0 and httpx2.URL(given).raw_host.decode("ascii").encode("idna")
    except (ValueError, httpx2.InvalidURL) as error:
        raise UserError(f"{expected}{shown(given)} ({error})") from None
    no_path = parts.fragment or parts.path.rstrip("/").endswith("/completions")
    if parts.scheme not in ("http", "https") or not possible or no_path:
        raise UserError(expected + shown(given))
    return given.rstrip("/")


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
    if not isinstance(options := fields.get(TEMPLATE_KEY) or {}, Mapping):
        raise UserError(f"extra_body: {TEMPLATE_KEY} must be a mapping from options to values; found {options!r}")
    store = fields.get("store", False)
    if store is not False and (store is not None or at_openai):
        raise UserError("extra_body may not set store: what is asked here is never stored at the provider")
    return dict(fields)
