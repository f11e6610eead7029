"""Files that a command was asked to write."""

import math
from pathlib import Path
from typing import Any

from harness_ext.errors import UserError


def write_text(path: Path, text: str) -> None:
    """Write ``text``, making the folder. Raises ``UserError`` where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error}") from error


def without_nan(value: Any) -> Any:
    """Plain values with ``None`` for nan, which JSON has not, at any depth."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
