"""Files that a command was asked to write."""

from pathlib import Path

from harness_ext.errors import UserError


def write_text(path: Path, text: str) -> None:
    """Write ``text``, making the folder. Raises ``UserError`` where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error}") from error
