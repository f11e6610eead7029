"""The layouts a local copy of UnsafeConcepts may have, told apart by file names alone."""

from pathlib import Path
from typing import Final, Literal, NamedTuple

from harness_ext.common.errors import SourceError

METADATA_NAMES: Final = ("metadata.jsonl", "metadata.csv")
_ACCEPTED: Final = (
    "Expected a parquet file, a folder of parquet files, a `save_to_disk` folder, "
    "or a folder of images with metadata.jsonl or metadata.csv (keys file_name, category, unsafe_concept)."
)


class Layout(NamedTuple):
    """How a local copy is kept, and the files that say so (for ``saved``: the folder)."""

    kind: Literal["parquet", "saved", "images"]
    files: tuple[Path, ...]


def find_layout(path: Path) -> Layout:
    """The layout of the local copy at ``path``; ``SourceError`` if there is none, or more than one."""
    if not path.exists():
        raise SourceError(f"UNSAFECONCEPTS_PATH names {path}, which does not exist.", _ACCEPTED)
    found = _of_file(path) if path.is_file() else _of_folder(path)
    if len(found) != 1:
        kinds = " and ".join(layout.kind for layout in found) or "none of the layouts that can be read"
        raise SourceError(f"UNSAFECONCEPTS_PATH names {path}, which holds {kinds}.", _ACCEPTED)
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
