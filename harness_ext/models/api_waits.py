"""How long a server asks to wait before it is asked again."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import openai

from harness_ext.models.api_pace import LONGEST_WAIT

# What asks for more is a slip, as nobody waits a year; so is what is no number.
_ABSURD: Final = 366 * 86400.0
# Numbers from here on are no seconds to wait, but seconds or milliseconds since 1970.
_SINCE_1970: Final = 1e9
_MILLISECONDS_SINCE_1970: Final = 1e12
_UNITS: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART: Final = r"(\d+(?:\.\d+)?)(ms|d|h|m|s)"
_RESET: Final = re.compile(r"(?:x-)?ratelimit-reset(-[\w-]+)?")


def seconds_to_wait(error: openai.APIStatusError) -> float | None:
    """How long the server asks to wait, from 0 seconds to a year; ``None`` where it does not say, or makes no sense.

    ``retry-after-ms`` counts first, then ``Retry-After``. A request that came too often (429) waits else until
    ``X-RateLimit-Reset``, or until the ``x-ratelimit-reset-…`` of the limits that are used up (of all limits, where none is
    said to be used up). These name the time when a limit is whole again. A part of it is free sooner, so they count for at
    most ``LONGEST_WAIT``. A value is seconds, a duration (``6m0s``, ``20ms``), a date, or seconds or milliseconds since 1970.
    """
    said = {**dict(_in_body(error.body)), **{name.lower(): value for name, value in error.response.headers.items()}}
    asked = [_seconds(said.get("retry-after-ms"), unit=0.001), _seconds(said.get("retry-after"))]
    if error.status_code == 429:
        resets = {match[1]: _seconds(said[name]) for name in said if (match := _RESET.fullmatch(name))}
        asked.append(resets.pop(None, None))
        used_up = [wait for limit, wait in resets.items() if _is_used_up(said, limit)] or list(resets.values())
        asked.append(max((min(wait, LONGEST_WAIT) for wait in used_up if wait is not None), default=None))
    return next((wait for wait in asked if wait is not None), None)


def _in_body(body: object) -> Iterator[tuple[str, str]]:
    """Headers that stand in the body: OpenRouter passes a provider's on, and Google has a ``retryDelay``."""
    if isinstance(body, Mapping):
        for name, value in body.items():
            if name == "headers" and isinstance(value, Mapping):
                yield from ((str(header).lower(), str(said)) for header, said in value.items())
            elif name == "retryDelay":
                yield "retry-after", str(value)
            else:
                yield from _in_body(value)
    elif isinstance(body, Sequence) and not isinstance(body, str):
        for part in body:
            yield from _in_body(part)


def _is_used_up(said: Mapping[str, str], limit: str) -> bool:
    names = (f"x-ratelimit-remaining{limit}", f"ratelimit-remaining{limit}")
    remaining = next((said[name] for name in names if name in said), "")
    try:
        return float(remaining) <= 0
    except ValueError:
        return False


def _seconds(said: str | None, unit: float = 1.0) -> float | None:
    """A value in seconds from now; a bare number is of ``unit`` seconds."""
    if said is None:
        return None
    wait = _from_now(said.strip(), unit)
    return max(0.0, wait) if wait is not None and math.isfinite(wait) and wait <= _ABSURD else None


def _from_now(said: str, unit: float) -> float | None:
    now = datetime.now(UTC)
    try:
        number = float(said) * unit
    except ValueError:
        pass
    else:
        if number < _SINCE_1970:
            return number
        return number / (1000 if number >= _MILLISECONDS_SINCE_1970 else 1) - now.timestamp()
    if re.fullmatch(f"(?:{_PART})+", said):
        return math.fsum(float(number) * _UNITS[unit_said] for number, unit_said in re.findall(_PART, said))
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = read(said)
            return ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds()
        except (TypeError, ValueError, OverflowError, IndexError):
            continue
    return None
