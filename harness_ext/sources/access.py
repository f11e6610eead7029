"""Whether the images of UnsafeConcepts can be had, found out within seconds and before any long work.

The dataset is gated on the Hugging Face hub: one has to ask for access, and be logged in.
"""

import os
from pathlib import Path
from typing import Final, Literal, NamedTuple

from harness_ext.common.errors import SourceError
from harness_ext.common.hub import TIMEOUT, hub_in_reach

REPO: Final = "yiting/UnsafeConcepts"
PATH_VARIABLE: Final = "UNSAFECONCEPTS_PATH"
_OTHERWISE: Final = (
    f"Or set {PATH_VARIABLE} to a local copy, or try the harmless stand-in: "
    "lmms_eval --model glyph-vlm --tasks glyphworld"
)
METADATA_NAMES: Final = ("metadata.jsonl", "metadata.csv")
_ACCEPTED: Final = (
    "Expected a parquet file, a folder of parquet files, a `save_to_disk` folder, "
    "or a folder of images with metadata.jsonl or metadata.csv (keys file_name, category, unsafe_concept)."
)


def local_copy(variable: str = PATH_VARIABLE) -> Path | None:
    """The local copy that an environment variable names, or ``None`` where it names none."""
    value = os.environ.get(variable)
    return Path(value).expanduser().absolute() if value else None


def check_access(timeout: float = TIMEOUT) -> None:
    """Return if the images can be had; otherwise raise ``SourceError`` within ``timeout`` seconds.

    A local copy is only looked at from outside here (is it there, in a known layout); loading it checks its rows.
    """
    path = local_copy()
    if path is not None:
        find_layout(path)
    else:
        benchmark_in_reach(timeout)


def benchmark_in_reach(timeout: float = TIMEOUT) -> bool:
    """As :func:`harness_ext.common.hub.hub_in_reach`, for UnsafeConcepts."""
    return hub_in_reach(timeout, REPO, _OTHERWISE)


# --- the layout of a local copy, told by file names alone -------------------------------------------------------------


class Layout(NamedTuple):
    """How a local copy is kept, and the files that say so (for ``saved``: the folder)."""

    kind: Literal["parquet", "saved", "images"]
    files: tuple[Path, ...]


def find_layout(path: Path) -> Layout:
    """The layout of the local copy at ``path``; ``SourceError`` if there is none, or more than one."""
    if not path.exists():
        raise SourceError(f"{PATH_VARIABLE} names {path}, which does not exist.", _ACCEPTED)
    found = _of_file(path) if path.is_file() else _of_folder(path)
    if len(found) != 1:
        kinds = " and ".join(layout.kind for layout in found) or "none of the layouts that can be read"
        raise SourceError(f"{PATH_VARIABLE} names {path}, which holds {kinds}.", _ACCEPTED)
    return found[0]


def named_layout(path: Path, variable: str, remedy: str) -> Layout:
    """As :func:`find_layout`, of the copy of another data set that ``variable`` names; ``remedy`` ends its errors."""
    try:
        return find_layout(path)
    except SourceError as error:
        found = "holds no data set in one layout that can be read" if path.exists() else "does not exist"
        raise SourceError(f"{variable} names {path}, which {found}.", remedy) from error


def _of_file(path: Path) -> list[Layout]:
    return [Layout("parquet", (path,))] if path.suffix == ".parquet" else []


def _of_folder(folder: Path) -> list[Layout]:
    found = []
    if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
        found.append(Layout("saved", (folder,)))
    found += [Layout("images", (folder / name,)) for name in METADATA_NAMES if (folder / name).is_file()]
    if parquet := _parquet_below(folder):
        found.append(Layout("parquet", parquet))
    return found


def _parquet_below(folder: Path) -> tuple[Path, ...]:
    """Parquet files in name order, which is row order for shards; hidden folders are download tools' own."""
    files = (file.relative_to(folder) for file in folder.rglob("*.parquet"))
    return tuple(folder / file for file in sorted(files) if not any(part.startswith(".") for part in file.parts))
