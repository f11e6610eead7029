"""What a result rests on beyond what the harness records, noted as it is resolved and written into the result file.

These are the weights behind a name of the catalogue, which a file may change, and the copy of a data set behind a task.
"""

import importlib.metadata
import re
from typing import Final

from harness_ext import __version__

# What answers and their counting rest on besides this project's own code.
_PACKAGES: Final = ("lmms-eval", "lm-eval", "torch", "transformers", "peft")
_recorded: Final[dict[str, str]] = {}


def record_provenance(**facts: object) -> None:
    """Note facts about this run, as text; ``None`` takes an earlier one back."""
    for name, value in facts.items():
        if value is None:
            _recorded.pop(name, None)
        else:
            _recorded[name] = str(value)


def recorded(name: str) -> str | None:
    """A fact that was noted; ``None`` where it was not."""
    return _recorded.get(name)


def forget_model() -> None:
    """Take back what was noted of a model: another one is about to be run by the same process. Data stay loaded."""
    for name in [name for name in _recorded if not name.endswith(("_source", "_split"))]:
        del _recorded[name]


def without_address(text: str) -> str:
    """``text`` without where in memory a function was, which lmms-eval writes and which differs from run to run."""
    return re.sub(r"<function (\S+) at 0x[0-9a-f]+>", r"<function \1>", text)


def provenance() -> dict[str, str]:
    """What was noted, this project's version, and those of the packages that answers rest on."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    return {"unsafeconcepts_version": __version__, "made_with": versions, **_recorded}
