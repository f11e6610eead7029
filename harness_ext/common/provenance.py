"""What a result rests on beyond what the harness records: the weights behind a name, and the data behind a task.

lmms-eval's result file holds the model's name and arguments. A name of the catalogue stands for weights that a file may
change, and a task for a copy of a data set; both are noted here as they are resolved, and written into the result file.
"""

import importlib.metadata
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


def forget_model() -> None:
    """Take back what was noted of a model: another one is about to be run by the same process. Data stay loaded."""
    for name in [name for name in _recorded if not name.endswith(("_source", "_split"))]:
        del _recorded[name]


def provenance() -> dict[str, str]:
    """What was noted, this project's version, and those of the packages that answers rest on."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    return {"unsafeconcepts_version": __version__, "made_with": versions, **_recorded}
