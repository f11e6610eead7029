"""A folder that is there whole or not at all: it grows under another name, which a later start goes on with."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from harness_ext.errors import UserError
from harness_ext.report.writing import UNFINISHED, write_text

_MANIFEST: Final = "judging.json"
_LOCK: Final = "judging.lock"


@contextmanager
def whole_folder(folder: Path, made_of: Mapping[str, Any]) -> Iterator[Path]:
    """Write into a folder of another name that becomes ``folder`` at the end, unless an exception comes before.

    What an earlier start has left there is kept, if it was made of the same.

    Args:
        folder: What comes to be.
        made_of: What it is made of, as JSON has it.

    Yields:
        The folder to write into.

    Raises:
        UserError: ``folder`` is there already, what was left is of something else, or another process is at it.
    """
    if folder.exists():
        raise UserError(
            f"{folder}: is there already and is never written over. Delete it, or choose another name with -o."
        )
    part = folder.with_name(f"{folder.name}.partial")
    try:
        part.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{part}: cannot be made: {error}") from error
    lock = FileLock(part / _LOCK)
    try:
        with lock.acquire(timeout=0):
            _claim(part, made_of)
            yield part
            # In this order: a process killed in between leaves the whole folder, and no unfinished one without a manifest.
            part.rename(folder)
            (folder / _MANIFEST).unlink()
            (folder / _LOCK).unlink()
    except Timeout as error:
        raise UserError(
            f"{part}: another process is writing there. Wait for it, or choose another name with -o."
        ) from error


def _claim(part: Path, made_of: Mapping[str, Any]) -> None:
    manifest, text = part / _MANIFEST, json.dumps(made_of, indent=1, ensure_ascii=False) + "\n"
    for unfinished in [
        *part.glob(f"{_MANIFEST}.new"),
        *part.rglob(UNFINISHED),
    ]:  # of a process that was killed in writing
        unfinished.unlink()
    if manifest.exists():
        if manifest.read_text(encoding="utf-8") != text:
            raise UserError(
                f"{part}: was begun with another judge, other options or other answers ({manifest.name} in it says which). "
                "Delete it, or choose another name with -o."
            )
        return
    if found := sorted(each.name for each in part.iterdir() if each.name != _LOCK):
        raise UserError(
            f"{part}: expected an empty folder, found {found[0]}. Delete it, or choose another name with -o."
        )
    write_text(manifest, text)


def whole_lines(path: Path) -> int:
    """How many lines of a file end; what stands after them, cut off while it was written, is taken away."""
    if not path.exists():
        return 0
    end = lines = 0
    with path.open("r+b") as file:
        for line in file:
            if line.endswith(b"\n"):
                end, lines = end + len(line), lines + 1
        file.truncate(end)
    return lines
