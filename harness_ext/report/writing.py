"""Files that a command was asked to write: each is there whole or not at all."""

import math
import os
import secrets
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from errno import EACCES, EISDIR, ENOTDIR
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from harness_ext.errors import UserError
from harness_ext.failures import writable

# What a process that is killed while it writes can leave: no name that a reader of this project looks for.
UNFINISHED: Final = f".{'[0-9a-f]' * 16}.new"


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, making the folder; half of a surrogate pair is escaped. Raises as :func:`write_bytes` does."""
    write_bytes(path, writable(text).encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content``, making the folder: the file is there whole, or it is what it was before.

    A symbolic link stays one, and the file that it names is written; permissions stay. What is no regular file (a device, a
    pipe) is written into.

    Raises:
        UserError: It cannot be written; nothing unfinished is left behind.
    """
    try:
        if path.exists() and (not path.is_file() or Path("/dev") in path.parents):
            # Appended: /dev/stdout can be a file, into which a command has printed before.
            with path.open("ab") as device:
                device.write(content)
            return
        file = Path(os.path.realpath(path))
        file.parent.mkdir(parents=True, exist_ok=True)
        _replace(file, content)
    except OSError as error:
        raise _not_written(path, error) from error


def _replace(file: Path, content: bytes) -> None:
    mode = None
    if file.exists():
        if not os.access(file, os.W_OK):
            raise PermissionError(EACCES, os.strerror(EACCES))
        mode = stat.S_IMODE(file.stat().st_mode)
    unfinished = file.with_name(f".{secrets.token_hex(8)}.new")
    try:
        with unfinished.open("xb") as written:
            written.write(content)
        if mode is not None:
            unfinished.chmod(mode)
        os.replace(unfinished, file)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def require_writable(files: Iterable[Path | None]) -> None:
    """Raise ``UserError`` where one of ``files`` (``None`` is none) could not be written; nothing is made or changed.

    For the first second of a command: what cannot be written would otherwise show when everything has been computed.
    """
    for path in files:
        if path is None or (path.exists() and not path.is_file() and not path.is_dir()):
            continue
        file = Path(os.path.realpath(path))
        if file.is_dir():
            raise _not_written(path, IsADirectoryError(EISDIR, os.strerror(EISDIR)))
        if file.exists() and not os.access(file, os.W_OK):
            raise _not_written(path, PermissionError(EACCES, os.strerror(EACCES)))
        require_writable_folder(file.parent, path)


def require_writable_folder(folder: Path, path: Path | None = None) -> None:
    """Raise ``UserError`` where no file could be written into ``folder``, which may have to be made; nothing is left there.

    Args:
        folder: The folder.
        path: What the message names; the folder by default.
    """
    place = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(parent))
    try:
        if not place.is_dir():
            raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), str(place))
        with tempfile.TemporaryFile(dir=place) as tried:
            tried.write(b"\n")
    except OSError as error:
        raise _not_written(path or folder, error) from error


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Other processes that want to read, change and write the same file wait here; its folder is made.

    Raises:
        UserError: The lock, a hidden file beside it, cannot be written.
    """
    file = Path(os.path.realpath(path))
    lock = FileLock(file.with_name(f".{file.name}.lock"))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise _not_written(path, error) from error
    try:
        yield
    finally:
        lock.release()


def _not_written(path: Path, error: OSError) -> UserError:
    above = error.filename and Path(error.filename) in Path(os.path.realpath(path)).parents
    where = f" ({error.filename})" if above else ""
    return UserError(f"{path}: cannot be written: {error.strerror or error}{where}")


def without_nan(value: Any) -> Any:
    """Plain values with ``None`` for nan, which JSON has not, at any depth."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
