"""Reading a local copy of UnsafeConcepts, in any of the layouts of ``layout.py``, without changing its row order."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import datasets

from harness_ext.common.errors import SourceError
from harness_ext.sources.access import find_layout

# The first is the imagefolder layout's, the second that of the authors' own metadata file.
_FILE_KEYS: Final = ("file_name", "image_filename")
_FEATURES: Final = datasets.Features(
    image=datasets.Image(), category=datasets.Value("string"), unsafe_concept=datasets.Value("string")
)


def load_local(path: Path) -> datasets.Dataset:
    """The rows of the local copy at ``path``, as they are; ``SourceError`` if it cannot be read."""
    layout = find_layout(path)
    try:
        if layout.kind == "images":
            return _load_images(layout.files[0])
        if layout.kind == "saved":
            return _load_saved(layout.files[0])
        return datasets.load_dataset("parquet", data_files=[str(file) for file in layout.files], split="train")
    except (datasets.exceptions.DatasetsError, ValueError, OSError) as error:
        cause = error.__cause__ or error
        raise SourceError(f"the local copy {path} cannot be read: {type(cause).__name__}: {cause}") from error


def _load_saved(folder: Path) -> datasets.Dataset:
    saved = datasets.load_from_disk(str(folder))
    if isinstance(saved, datasets.Dataset):
        return saved
    if "train" not in saved:
        raise SourceError(f"the local copy {folder} has no split train, only {', '.join(saved)}")
    return saved["train"]


def _load_images(metadata: Path) -> datasets.Dataset:
    rows = _read_csv(metadata) if metadata.suffix == ".csv" else _read_jsonl(metadata)
    columns: dict[str, list[str]] = {name: [] for name in _FEATURES}
    for number, row in enumerate(rows):
        columns["image"].append(str(_image_file(metadata, number, row)))
        for key in ("category", "unsafe_concept"):
            columns[key].append(_value(metadata, number, row, key))
    return datasets.Dataset.from_dict(columns, features=_FEATURES)


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
