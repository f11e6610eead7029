"""Where a set of images is, and whether it can be had: found out within seconds and before any long work.

A set is a repository on the hub, or the local copy that the user names; which of the two is the user's word alone. Light on
purpose (no datasets, no torch), because every evaluation imports it as it starts.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from harness_ext.common.errors import SourceError
from harness_ext.common.hub import cached_snapshot, hub_in_reach

METADATA_NAMES: Final = ("metadata.jsonl", "metadata.csv")


@dataclass(frozen=True)
class ImageSet:
    """One set of images.

    Attributes:
        title: Its name in results.
        repo: Its repository on the hub.
        variable: The environment variable that names a local copy.
        columns: The columns beside ``image``.
        as_files: Whether a local copy may be a folder of image files, with these columns as text beside them.
        gated: Whether one has to ask the hub for access, and be logged in.
        otherwise: What else a user without access can do; part of a sentence.
    """

    title: str
    repo: str
    variable: str
    columns: tuple[str, ...]
    as_files: bool = True
    gated: bool = True
    otherwise: str = ""

    @property
    def local_copy(self) -> Path | None:
        """The user's local copy, ``None`` where there is none."""
        value = os.environ.get(self.variable)
        return Path(value).expanduser().absolute() if value else None

    @property
    def no_access(self) -> str:
        """What else to do where the hub does not give it."""
        return f"Or set {self.variable} to a local copy{self.otherwise}"

    @property
    def no_copy(self) -> str:
        """What a local copy must be."""
        columns = ", ".join(self.columns)
        files = f", or a folder of images with {' or '.join(METADATA_NAMES)} (keys file_name, {columns})"
        return (
            "Expected a parquet file, a folder of parquet files, or a `save_to_disk` folder "
            f"(columns image, {columns}){files if self.as_files else ''}."
        )


def check_access(images: ImageSet) -> bool:
    """Whether the hub gives the images of a set; False where a copy on this machine serves. Answers within seconds.

    A local copy is only looked at from outside here (is it there, in a known layout); loading it checks its rows. A complete
    copy in the hub cache is enough for a set without a gate: the hub has nothing to refuse. Raises ``SourceError`` if the
    images cannot be had.
    """
    if (path := images.local_copy) is not None:
        find_layout(images, path)
        return False
    if not images.gated and cached_snapshot(images.repo) is not None:
        return False
    return hub_in_reach(images.repo, images.no_access, images.gated)


def is_inside(folder: Path, path: Path) -> bool:
    """Whether ``path``, with every ``..`` and symbolic link followed, lies in ``folder``, or beside it in the hub's cache.

    There the files of a folder ``snapshots/COMMIT`` are links to ``blobs``, two folders up.
    """
    root = folder.resolve()
    return path.resolve().is_relative_to(root.parent.parent if root.parent.name == "snapshots" else root)


# --- the layout of a local copy, told by file names alone -------------------------------------------------------------


class Layout(NamedTuple):
    """How rows are kept, and the files that say so (for ``saved`` and for ``hub``, a download in its cache: the folder)."""

    kind: Literal["parquet", "saved", "images", "hub"]
    files: tuple[Path, ...]


def find_layout(images: ImageSet, path: Path) -> Layout:
    """The layout of the local copy at ``path``; ``SourceError`` if there is none, more than one, or one not accepted."""
    if not path.exists():
        raise SourceError(f"{images.variable} names {path}, which does not exist.", images.no_copy)
    found = layouts(path)
    if len(found) != 1:
        kinds = " and ".join(layout.kind for layout in found) or "none of the layouts that can be read"
        raise SourceError(f"{images.variable} names {path}, which holds {kinds}.", images.no_copy)
    if found[0].kind == "images" and not images.as_files:
        raise SourceError(f"{images.variable} names {path}, which is a folder of images.", images.no_copy)
    if leading_out := [file for file in found[0].files if path.is_dir() and not is_inside(path, file)]:
        raise SourceError(
            f"{images.variable} names {path}, whose {leading_out[0].name} is a symbolic link out of it.",
            "Copy what it leads to into the folder (cp -rL).",
        )
    return found[0]


def layouts(path: Path) -> list[Layout]:
    """The layouts of rows that are at ``path``: one, where all is well."""
    if path.is_file():
        return [Layout("parquet", (path,))] if path.suffix == ".parquet" else []
    found = []
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        found.append(Layout("saved", (path,)))
    found += [Layout("images", (path / name,)) for name in METADATA_NAMES if (path / name).is_file()]
    # In name order, which is row order for shards; hidden folders are download tools' own.
    files = sorted(file.relative_to(path) for file in path.rglob("*.parquet"))
    if parquet := tuple(path / file for file in files if not any(part.startswith(".") for part in file.parts)):
        found.append(Layout("parquet", parquet))
    return found
