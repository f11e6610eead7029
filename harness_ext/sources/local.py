"""Reading the rows of a set of images, from the hub or a local copy of any layout, without changing their order."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import datasets
import pyarrow as pa
from pyarrow import csv, json

from harness_ext.common.errors import SourceError, shown
from harness_ext.common.hub import download
from harness_ext.sources.access import ImageSet, Layout, check_access, find_layout, is_inside

# The first is the imagefolder layout's, the second that of the authors' own metadata file.
_FILE_KEYS: Final = ("file_name", "image_filename")
# Characters of a path, the last ones, which tell it from others.
_SHOWN: Final = 200


def read_set(images: ImageSet) -> tuple[datasets.Dataset, str, Path]:
    """The rows of a set as they are; their source's name for results, ``repository@commit`` or the local copy's path; and
    the folder that holds all of it.

    Raises:
        SourceError: They are out of reach, cannot be read, or lack one of the set's columns.
    """
    if (path := images.local_copy) is not None:
        layout, source, remedy = find_layout(images, path), str(path), ""
    else:
        snapshot = download(images.repo, local_files_only=not check_access(images))
        layout, source = Layout("hub", (snapshot,)), f"{images.repo}@{snapshot.name}"
        remedy = f"If the download was cut off or damaged, delete {snapshot.parent.parent} and run again."
    try:
        rows = load_rows(layout, images.columns)
    except (datasets.exceptions.DatasetsError, ValueError, OSError) as error:
        cause = error.__cause__ or error
        raise SourceError(f"{source} cannot be read: {type(cause).__name__}: {cause}", remedy) from error
    if missing := [column for column in ("image", *images.columns) if column not in rows.column_names]:
        found = ", ".join(rows.column_names) or "none"
        raise SourceError(f"{source}: missing column {', '.join(missing)}; found {found}", images.no_copy)
    return rows, source, _folder(layout)


def _folder(layout: Layout) -> Path:
    first = layout.files[0]
    return first if layout.kind in ("saved", "hub") else first.parent


def require_inside(rows: datasets.Dataset, folder: Path, source: str) -> None:
    """Raise ``SourceError`` for a row whose image is a file outside of ``folder``: whoever wrote the rows may name any.

    ``rows`` have a column ``image`` of images, decoded or not.
    """
    images = rows.cast_column("image", datasets.Image(decode=False)).with_format("arrow")["image"]
    for row, image in enumerate(images):
        path = None if image["bytes"].is_valid else image["path"].as_py()
        if path is not None and not is_inside(folder, Path(path)):
            raise SourceError(
                f"{source}, row {row}: the image {path[-_SHOWN:]!r} is not within the folder",
                "An image is a file in the folder itself; copy it there.",
            )


def load_rows(layout: Layout, columns: Sequence[str], split: str = "train") -> datasets.Dataset:
    """The rows of a layout; of a folder of images ``image`` and ``columns``, of a download of the hub those of ``split``.

    Raises:
        DatasetsError, ValueError, OSError: They cannot be read.
        SourceError: They are not what the layout says.
    """
    match layout.kind:
        case "images":
            return _load_images(layout.files[0], columns)
        case "saved":
            return _load_saved(layout.files[0])
        case "hub":
            return datasets.load_dataset(str(layout.files[0]), split=split)
        case "parquet":
            return datasets.load_dataset("parquet", data_files=[str(file) for file in layout.files], split="train")


def _load_saved(folder: Path) -> datasets.Dataset:
    saved = datasets.load_from_disk(str(folder))
    for part in [saved] if isinstance(saved, datasets.Dataset) else saved.values():
        if out := [file["filename"] for file in part.cache_files if not is_inside(folder, Path(file["filename"]))]:
            raise SourceError(f"{folder}: its rows lie outside of the folder, in {shown(out[0])}")
    if isinstance(saved, datasets.Dataset):
        return saved
    if "train" not in saved:
        raise SourceError(f"the local copy {folder} has no split train, only {', '.join(saved)}")
    return saved["train"]


def _load_images(metadata: Path, text_columns: Sequence[str]) -> datasets.Dataset:
    """The rows that a metadata file lists, in its order; other keys than these are ignored."""
    schema = pa.schema(dict.fromkeys((*_FILE_KEYS, *text_columns), pa.string()))
    if metadata.suffix == ".csv":
        options = csv.ConvertOptions(column_types=schema, include_columns=schema.names, include_missing_columns=True)
        listed = csv.read_csv(
            metadata, convert_options=options, parse_options=csv.ParseOptions(newlines_in_values=True)
        )
    else:
        parsed = json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
        listed = json.read_json(metadata, parse_options=parsed)
    images = []
    for row, values in enumerate(listed.to_pylist()):
        if not any(values[key] for key in _FILE_KEYS) or None in [values[name] for name in text_columns]:
            expected = f"{' or '.join(_FILE_KEYS)}, {', '.join(text_columns)}"
            raise SourceError(f"{metadata}, row {row}: expected texts under {expected}, found {values}")
        images.append(metadata.parent / next(values[key] for key in _FILE_KEYS if values[key]))
        if is_inside(metadata.parent, images[-1]) and not images[-1].is_file():
            raise SourceError(f"{metadata}, row {row}: the image {images[-1]} does not exist")
    columns = {"image": list(map(str, images)), **{name: listed[name].to_pylist() for name in text_columns}}
    return datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())
