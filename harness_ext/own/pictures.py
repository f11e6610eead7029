"""The images behind a benchmark's list: whether they are there, and the images themselves, undecoded."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from posixpath import normpath
from typing import TYPE_CHECKING, Any, Final

from harness_ext.common.errors import SourceError, one_line, shown
from harness_ext.own.form import Images
from harness_ext.own.listing import Listing
from harness_ext.own.problems import Problems, is_within, listed, outside
from harness_ext.sources.access import Layout

if TYPE_CHECKING:
    from datasets import Dataset

IMAGE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")


def sizes(folder: Path, listing: Listing, problems: Problems) -> list[int]:
    """The size in bytes of each file that ``listing`` names, -1 where it is not there or not to be read.

    Every such file is noted, and every image beside them that no line names. Opens none of them.
    """
    root = listing.file.parent
    there = dict(_files(root, ""))
    found = []
    for row, name in enumerate(listing.names):
        size = there.get(normpath(name), -1)
        if size < 0:
            # Behind a symbolic link, or not there at all.
            path = root / name
            if not is_within(name):
                pass  # noted with the list
            elif reason := outside(folder, path.relative_to(folder).as_posix()):
                listing.note(problems, row, reason)
            elif path.is_file():
                size = path.stat().st_size
            else:
                listing.note(problems, row, "the image is not there", shown(name))
        found.append(size)
    for name in there.keys() - {normpath(name) for name in listing.names}:
        if name.lower().endswith(IMAGE_SUFFIXES):
            problems.add(listing.file, 0, "images without a concept: no line names them", name)
    return found


def _files(folder: Path, within: str) -> Iterator[tuple[str, int]]:
    """The files below a folder, by path, with their sizes; symbolic links and hidden files are left out."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                yield from _files(Path(entry.path), f"{within}{entry.name}/")
            elif entry.is_file(follow_symlinks=False) and not entry.name.startswith("."):
                yield within + entry.name, entry.stat().st_size


def open_rows(layout: Layout, images: Images, source: str) -> "Dataset":
    """The rows of a data set, of whatever columns. Raises ``SourceError`` where they cannot be read."""
    from datasets.exceptions import DatasetsError

    from harness_ext.sources.local import load_rows

    try:
        return load_rows(layout, (), images.split)
    except (DatasetsError, ValueError, OSError) as error:
        raise SourceError(f"{source} cannot be read: {one_line(error)}") from error


def undecoded(rows: "Dataset", column: str, source: str) -> "Dataset":
    """The images of a data set as the one column ``image``, undecoded.

    Raises ``SourceError`` where the column holds no images, or only the paths of files.
    """
    import pyarrow.compute as pc
    from datasets import Image, Value

    feature: Any = rows.features[column]
    in_parts = isinstance(feature, dict) and feature.keys() == {"bytes", "path"}
    if not (isinstance(feature, Image) or in_parts or (isinstance(feature, Value) and "binary" in feature.dtype)):
        raise SourceError(f"{source}: expected images in the column {column}, found {feature}")
    images = rows.select_columns([column])
    if column != "image":
        images = images.rename_column(column, "image")
    images = images.cast_column("image", Image(decode=False))
    # Of a null struct as well as of one with null in it.
    of_bytes, paths = (pc.struct_field(images.data.column("image"), name) for name in ("bytes", "path"))
    missing = pc.is_null(of_bytes)
    if pc.any(pc.and_(missing, pc.is_valid(paths))).as_py():
        raise SourceError(
            f"{source}: the column {column} holds paths of files in place of images",
            "Save the images themselves in it, or list the files in a metadata.jsonl.",
        )
    if rows_without := pc.indices_nonzero(missing).to_pylist():
        raise SourceError(f"{source}: no image in the column {column} of row {listed(map(str, rows_without))}")
    return images


def of_files(files: Sequence[Path]) -> "Dataset":
    """The images of files, as the one column ``image``, undecoded."""
    from datasets import Dataset, Image

    paths = [str(file) for file in files]
    return Dataset.from_dict({"image": paths}).cast_column("image", Image(decode=False))
