"""Reading a verdict from a judging model's reply: exactly what was asked for, or none."""

import json
import re
from collections.abc import Collection
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

# A whole reply in a block of code is the same reply.
_BLOCK: Final = re.compile(r"```(?:json)?\s*\n(.*?)\n\s*```", re.DOTALL)
_SHOWN: Final = 120


class UnreadableError(Exception):
    """A reply is not what was asked for; the message says in one line what it is."""


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    verdict: str


def schema(labels: Collection[str]) -> dict[str, object]:
    """The JSON schema of a reply, in the subset that strict structured output takes."""
    return {
        "type": "object",
        "properties": {"verdict": {"type": "string", "enum": list(labels)}},
        "required": ["verdict"],
        "additionalProperties": False,
    }


def read_verdict(reply: str, labels: Collection[str]) -> str:
    """The verdict in ``reply``, ``{"verdict": LABEL}``, one of ``labels``. Raises ``UnreadableError`` for anything else."""
    text = reply.strip()
    block = _BLOCK.fullmatch(text)
    text = block.group(1) if block else text
    try:
        verdict = _Reply.model_validate_json(text).verdict
    except ValidationError as error:
        raise UnreadableError(f"{error.errors()[0]['msg']}: {_short(reply)}") from error
    # Two verdicts in one object are none; a reader of JSON takes the last.
    if len(json.loads(text, object_pairs_hook=list)) != 1:
        raise UnreadableError(f"two verdicts: {_short(reply)}")
    if verdict not in labels:
        raise UnreadableError(f"no label of {', '.join(labels)}: {_short(reply)}")
    return verdict


def _short(reply: str) -> str:
    return repr(reply if len(reply) <= _SHOWN else f"{reply[:_SHOWN]}…") if reply else "an empty reply"
