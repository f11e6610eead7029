"""Reading the rows of a set of images, from the hub or a local copy of any layout, without changing their order."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import datasets

from harness_ext.common.errors import SourceError
from harness_ext.common.hub import download
from harness_ext.sources.access import SETS, Layout, check_access, find_layout

# The first is the imagefolder layout's, the second that of the authors' own metadata file.
_FILE_KEYS: Final = ("file_name", "image_filename")


def read_set(name: str) -> tuple[datasets.Dataset, str]:
    """The rows of a set as they are, and their source's name for results: ``repository@commit``, or the local copy's path.

    Raises:
        SourceError: They are out of reach, cannot be read, or lack one of the set's columns.
    """
    images = SETS[name]
    if (path := images.local_copy) is not None:
        layout, source, remedy = find_layout(images, path), str(path), ""
    else:
        snapshot = download(images.repo, local_files_only=not check_access(name))
        layout, source = Layout("hub", (snapshot,)), f"{images.repo}@{snapshot.name}"
        remedy = f"If the download was cut off or damaged, delete {snapshot.parent.parent} and run again."
    try:
        rows = _load(layout, images.columns)
    except (datasets.exceptions.DatasetsError, ValueError, OSError) as error:
        cause = error.__cause__ or error
        raise SourceError(f"{source} cannot be read: {type(cause).__name__}: {cause}", remedy) from error
    if missing := [column for column in ("image", *images.columns) if column not in rows.column_names]:
        found = ", ".join(rows.column_names) or "none"
        raise SourceError(f"{source}: missing column {', '.join(missing)}; found {found}", images.no_copy)
    return rows, source


def _load(layout: Layout, columns: Sequence[str]) -> datasets.Dataset:
    match layout.kind:
        case "images":
            return _load_images(layout.files[0], columns)
        case "saved":
            return _load_saved(layout.files[0])
        case "hub":
            return datasets.load_dataset(str(layout.files[0]), split="train")
        case "parquet":
            return datasets.load_dataset("parquet", data_files=[str(file) for file in layout.files], split="train")


def _load_saved(folder: Path) -> datasets.Dataset:
    saved = datasets.load_from_disk(str(folder))
    if isinstance(saved, datasets.Dataset):
        return saved
    if "train" not in saved:
        raise SourceError(f"the local copy {folder} has no split train, only {', '.join(saved)}")
    return saved["train"]


def _load_images(metadata: Path, text_columns: Sequence[str]) -> datasets.Dataset:
    rows = _read_csv(metadata) if metadata.suffix == ".csv" else _read_jsonl(metadata)
    columns: dict[str, list[str]] = {name: [] for name in ("image", *text_columns)}
    for number, row in enumerate(rows):
        columns["image"].append(str(_image_file(metadata, number, row)))
        for key in text_columns:
            columns[key].append(_value(metadata, number, row, key))
    features = datasets.Features({name: datasets.Value("string") for name in text_columns})
    return datasets.Dataset.from_dict(columns, features=datasets.Features(image=datasets.Image(), **features))


def _read_jsonl(metadata: Path) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(metadata.read_text(encoding="utf-8").splitlines()):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise SourceError(f"{metadata}, row {number}: not JSON ({error})") from error
        if not isinstance(row, dict):
            raise SourceError(f"{metadata}, row {number}: expected a JSON object, found {type(row).__name__}")
        rows.append(row)
    return rows


def _read_csv(metadata: Path) -> list[dict[str, Any]]:
    with metadata.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _image_file(metadata: Path, number: int, row: Mapping[str, Any]) -> Path:
    key = next((key for key in _FILE_KEYS if row.get(key)), None)
    if key is None:
        raise SourceError(f"{metadata}, row {number}: neither of {', '.join(_FILE_KEYS)}, found {', '.join(row)}")
    file = metadata.parent / _value(metadata, number, row, key)
    if not file.is_file():
        raise SourceError(f"{metadata}, row {number}: the image {file} does not exist")
    return file


def _value(metadata: Path, number: int, row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise SourceError(f"{metadata}, row {number}: expected text under {key!r}, found {value!r}")
    return value
