"""Files: the one cache folder, the one way to write a file or a folder whole or not at all, the one lock, the digests."""

import functools
import hashlib
import json
import math
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from errno import EACCES, EISDIR, ENOTDIR
from pathlib import Path
from typing import Any, Final

import platformdirs
from filelock import FileLock, Timeout

from harness_ext.common.errors import SourceError, UserError
from harness_ext.common.failures import writable
from harness_ext.common.reading import read_json

CACHE_VARIABLE: Final = "UNSAFECONCEPTS_CACHE"
# What a process that is killed while it writes can leave: no name that a reader of this project looks for.
UNFINISHED: Final = f".{'[0-9a-f]' * 16}.new"
_MANIFEST: Final = "judging.json"
_LOCK: Final = "judging.lock"
# What :func:`resumed_folder` keeps in the folder until it is whole.
OF_RESUMING: Final = (_MANIFEST, _LOCK)


# --- the cache folder ---


def cache_dir() -> Path:
    """Our cache folder: ``UNSAFECONCEPTS_CACHE``, or the platform's own; made if missing.

    Raises ``SourceError`` if it cannot be made.
    """
    named = os.environ.get(CACHE_VARIABLE)
    folder = Path(named).expanduser().absolute() if named else platformdirs.user_cache_path("unsafeconcepts")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_cached(folder, error) from error
    return folder


def write_cached(path: Path, content: bytes) -> None:
    """Write a file of the cache folder, making its folder. Raises ``SourceError`` if it cannot be written."""
    try:
        replace_file(path, content)
    except OSError as error:
        raise not_cached(path, error) from error


def not_cached(path: Path, error: OSError) -> SourceError:
    """The error of a file in our cache folder that cannot be written."""
    return SourceError(
        f"{path} cannot be written ({error.strerror})", f"Set {CACHE_VARIABLE} to a folder that can be written to."
    )


# --- one file ---


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, making the folder; half of a surrogate pair is escaped. Raises as :func:`write_bytes` does."""
    write_bytes(path, writable(text).encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that a user named, making its folder: it is there whole, or it is what it was before.

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
        if file.exists() and not os.access(file, os.W_OK):
            raise PermissionError(EACCES, os.strerror(EACCES))
        replace_file(file, content)
    except OSError as error:
        raise _not_written(path, error) from error


def append_text(path: Path, text: str) -> None:
    """Add whole lines to a file, making its folder; they are on the disk on return. Raises as :func:`write_bytes` does."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(writable(text).encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _not_written(path, error) from error


def replace_file(file: Path, content: bytes) -> None:
    """Put ``content`` at ``file`` in one step, making the folder; permissions stay. Raises ``OSError``, leaving nothing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    mode = stat.S_IMODE(file.stat().st_mode) if file.is_file() else None
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

    The message names ``path``, the folder by default.
    """
    place = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(parent))
    try:
        if not place.is_dir():
            raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), str(place))
        with tempfile.TemporaryFile(dir=place) as tried:
            tried.write(b"\n")
    except OSError as error:
        raise _not_written(path or folder, error) from error


def _not_written(path: Path, error: OSError) -> UserError:
    above = error.filename and Path(error.filename) in Path(os.path.realpath(path)).parents
    where = f" ({error.filename})" if above else ""
    return UserError(f"{path}: cannot be written: {error.strerror or error}{where}")


def whole_lines(path: Path) -> int:
    """The number of lines in a file that end; cuts off what an interrupted process left after them."""
    if not path.exists():
        return 0
    end = lines = 0
    with path.open("r+b") as file:
        for line in file:
            if line.endswith(b"\n"):
                end, lines = end + len(line), lines + 1
        file.truncate(end)
    return lines


def each_leaf(value: Any, change: Callable[[Any], Any]) -> Any:
    """``value`` with ``change(leaf)`` for each key and each leaf of its dictionaries and lists, at any depth."""
    if isinstance(value, dict):
        return {change(key): each_leaf(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [each_leaf(item, change) for item in value]
    return change(value)


def without_nan(value: Any) -> Any:
    """Plain values with ``None`` for nan, which JSON has not, at any depth."""
    return each_leaf(value, lambda leaf: None if isinstance(leaf, float) and math.isnan(leaf) else leaf)


# --- one process at a time ---


@contextmanager
def held(lock: Path, cannot: Callable[[OSError], UserError], busy: str = "") -> Iterator[None]:
    """Hold a lock file, which stays and whose folder is made; other processes wait here.

    Raises ``cannot(error)`` where it cannot be written, and ``UserError(busy)``, unless that is empty, where another process
    holds it.
    """
    file = FileLock(lock)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file.acquire(timeout=0 if busy else -1)
    except Timeout as error:
        raise UserError(busy) from error
    except OSError as error:
        raise cannot(error) from error
    try:
        yield
    finally:
        file.release()


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Other processes that want to change the same file wait here; its folder is made.

    Raises ``UserError`` where the lock, a hidden file beside it, cannot be written.
    """
    file = Path(os.path.realpath(path))
    with held(file.with_name(f".{file.name}.lock"), functools.partial(_not_written, path)):
        yield


# --- a folder ---


@contextmanager
def new_folder(folder: Path, within: Path | None = None) -> Iterator[Path]:
    """Write into a temporary folder that becomes ``folder`` in one step, unless an exception comes before.

    The caller holds a lock: what a killed process left of the same folder is deleted. The temporary folder, which is yielded,
    lies ``within`` a folder of the same disk, beside ``folder`` by default.
    """
    within = within or folder.parent
    within.mkdir(parents=True, exist_ok=True)
    prefix = f"{folder.name}.tmp"
    for leftover in within.glob(f"{prefix}*"):
        shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=within) as scratch:
        # Within it, for the permissions of any new folder.
        made = Path(scratch) / folder.name
        made.mkdir()
        yield made
        folder.parent.mkdir(parents=True, exist_ok=True)
        made.rename(folder)


@contextmanager
def resumed_folder(folder: Path, made_of: Mapping[str, Any]) -> Iterator[Path]:
    """Write into ``FOLDER.partial``, which becomes ``folder`` at the end, unless an exception comes before.

    A later start resumes it, if it is made of the same: ``made_of``, as JSON has it.

    Raises:
        UserError: ``folder`` is there already, what was left is of something else, or another process is at it.
    """
    if folder.exists():
        raise UserError(
            f"{folder}: is there already and is never written over. Delete it, or choose another name with -o."
        )
    part = folder.with_name(f"{folder.name}.partial")
    busy = f"{part}: another process is writing there. Wait for it, or choose another name with -o."
    with held(part / _LOCK, lambda error: UserError(f"{part}: cannot be made: {error}"), busy):
        _claim(part, made_of)
        yield part
        # In this order: a process killed in between leaves the whole folder, and no unfinished one without a manifest.
        part.rename(folder)
        (folder / _MANIFEST).unlink()
        (folder / _LOCK).unlink()


def _claim(part: Path, made_of: Mapping[str, Any]) -> None:
    manifest, text = part / _MANIFEST, json.dumps(made_of, indent=1, ensure_ascii=False) + "\n"
    # A process that was killed in writing may have left these.
    for unfinished in [*part.glob(f"{_MANIFEST}.new"), *part.rglob(UNFINISHED)]:
        unfinished.unlink()
    if manifest.exists():
        before, now = read_json(manifest), json.loads(text)
        if before != now:
            other = ", ".join(name for name in now if before.get(name) != now[name])
            raise UserError(
                f"{part}: holds an interrupted run that differs in {other} ({manifest.name} in it says how). "
                "Delete it, or choose another name with -o."
            )
        return
    if found := sorted(each.name for each in part.iterdir() if each.name != _LOCK):
        raise UserError(
            f"{part}: expected an empty folder, found {found[0]}. Delete it, or choose another name with -o."
        )
    write_text(manifest, text)


# --- digests ---


def sha256(content: bytes | str | Path) -> str:
    """The sha256, 64 hexadecimal digits, of bytes, of a text as UTF-8, or of the contents of the file at a path."""
    return _hexadecimal(content, hashlib.sha256)


def digest(content: bytes | str | Path) -> str:
    """As :func:`sha256`, faster and shorter: 40 hexadecimal digits of BLAKE2b."""
    return _hexadecimal(content, functools.partial(hashlib.blake2b, digest_size=20))


def _hexadecimal(content: bytes | str | Path, algorithm: Callable[..., Any]) -> str:
    if isinstance(content, Path):
        with content.open("rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest()
    return str(algorithm(content.encode() if isinstance(content, str) else content).hexdigest())
