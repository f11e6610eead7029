"""The seal of a folder of weights: ``digests.json``, the sha256 of each file that is read from it.

It shows a flipped bit, a file of another folder, and a file that is gone. It is no signature: who can write the folder can
write the seal. Folders from before there were seals have none, and the caller says what becomes of them.
"""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Final

from harness_ext.common.errors import UserError, shown
from harness_ext.common.files import sha256, write_text
from harness_ext.common.reading import Unreadable, read_json

SEAL: Final = "digests.json"
# A card, to be edited by people, is read by no program.
_NOT_SEALED: Final = {SEAL, "README.md"}


def seal(folder: Path, leave_out: Iterable[str] = ()) -> None:
    """Write the seal of the files in and below ``folder``, but for cards and those to ``leave_out``: a writer's last step."""
    every = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    names = sorted(every.keys() - {*_NOT_SEALED, *leave_out})
    digests = dict(zip(names, _digests([every[name] for name in names]), strict=True))
    write_text(folder / SEAL, json.dumps(digests, indent=1) + "\n")


def is_sealed(folder: Path) -> bool:
    """Whether ``folder`` has a seal."""
    return (folder / SEAL).is_file()


def require_unchanged(folder: Path, cannot: str, remedy: str, names: Iterable[str] | None = None) -> None:
    """Raise ``UserError`` unless the files of a sealed folder are those that were sealed: all of them, or those ``names``.

    The message begins with ``cannot`` and ends with the ``remedy``. A name that was not sealed is not looked at.
    """
    file = folder / SEAL
    try:
        sealed = read_json(file)
    except Unreadable as error:
        raise UserError(f"{cannot}{error}; {remedy}") from error
    if wrong := [name for name, digest in sealed.items() if not isinstance(digest, str) or not _is_within(name)]:
        raise UserError(
            f"{cannot}{file}: expected the sha256 of each file in the folder, by name, found {shown(wrong[0])}: "
            f"{shown(sealed[wrong[0]])}; {remedy}"
        )
    looked_at = sorted(set(sealed) & set(names) if names is not None else set(sealed))
    try:
        found = _digests([folder / name for name in looked_at])
    except OSError as error:
        raise UserError(f"{cannot}{error.filename} cannot be read ({error.strerror}); {remedy}") from error
    if changed := [name for name, digest in zip(looked_at, found, strict=True) if digest != sealed[name]]:
        raise UserError(
            f"{cannot}{folder / changed[0]} is not what was written there (another sha256 than in {SEAL}); {remedy}"
        )


def _is_within(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


def _digests(files: list[Path]) -> list[str]:
    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(sha256, files))
