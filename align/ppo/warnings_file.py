"""Warnings of a run as lines of JSON, appended as it goes; a run that goes on from a checkpoint keeps those before it."""

import json
import os
from pathlib import Path
from typing import Any, Final

from harness_ext.errors import UserError

WARNINGS_FILE: Final = "monitor.jsonl"


class WarningsFile:
    """The file ``monitor.jsonl`` of a run's folder.

    Args:
        folder: The run's.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / WARNINGS_FILE

    def append(self, warning: dict[str, Any]) -> None:
        """Add a warning, which has the ``step`` it was made at; it is on the disk when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(warning) + "\n")  # escaped: a response may hold what no UTF-8 can carry
            file.flush()
            os.fsync(file.fileno())

    def keep_before(self, step: int) -> None:
        """Forget the warnings from ``step`` on, which will be made again, and a last line that was cut off in writing.

        Raises:
            UserError: The file holds something else.
        """
        if not self.path.exists():
            return
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]
        try:
            kept = [line for line in whole if json.loads(line)["step"] < step]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.path}: expected lines of JSON with a step, as a watched run writes them, found another thing "
                f"({type(error).__name__}): move it away"
            ) from error
        if kept == lines:
            return
        if not kept:
            self.path.unlink()
            return
        written = self.path.with_name(f".{self.path.name}")  # then moved: a run that is killed now leaves a whole file
        written.write_text("".join(kept), encoding="utf-8")
        written.replace(self.path)
