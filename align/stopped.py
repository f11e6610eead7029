"""A run that had to stop, with its reason and the samples that show it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from harness_ext.common.errors import UserError
from harness_ext.common.failures import writable
from harness_ext.report.page.training import STOPPED_FILE

_SHOWN: Final = 8
_OF_A_ROW: Final = ("row", "concept", "label", "question")


def sample(row: Mapping[str, Any], response: str) -> dict[str, Any]:
    """A sample as a stop reports it: its row's number, concept, label and question, as far as known, and the response."""
    return {"row": None, **{key: row[key] for key in _OF_A_ROW if key in row}, "response": response}


class TrainingStopped(UserError):
    """Training met a value that is no number, or a rollout that means nothing, or it ended too early.

    Attributes:
        step: The optimiser step that would have come next.
        samples: The samples of the stop, a mapping each: ``row``, ``question``, ``label``, and ``response`` where there is
            one. The message names rows alone; a response may hold text that not everybody wants on a screen.
    """

    def __init__(self, reason: str, step: int, samples: Sequence[dict[str, Any]] = ()) -> None:
        self.step = step
        self.samples = list(samples)
        rows = ", ".join(str(sample["row"]) for sample in self.samples[:_SHOWN])
        more = f" and {len(self.samples) - _SHOWN} more" if len(self.samples) > _SHOWN else ""
        super().__init__(f"stopped at step {step}: {reason}" + (f"; rows {rows}{more}" if rows else ""))

    def write(self, folder: Path) -> None:
        """Write reason and samples into ``folder``, as ``stopped.json``; the last of several processes' files stays."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {"step": self.step, "reason": str(self), "samples": self.samples}
        # Written beside and moved, so that a killed run leaves a whole file or none. Each process writes one of its own.
        written = folder / f".{STOPPED_FILE}.{uuid4().hex}"
        written.write_text(writable(json.dumps(content, indent=1, ensure_ascii=False)) + "\n", encoding="utf-8")
        written.replace(folder / STOPPED_FILE)
