"""The list of a benchmark's images: which concept each shows, read without opening any image, and what is wrong with it."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from harness_ext.common.errors import one_line, shown
from harness_ext.common.reading import Unreadable, parse_json, read_json
from harness_ext.own.form import Columns, Images
from harness_ext.own.problems import Problems, listed, outside, read_text
from harness_ext.sources.access import METADATA_NAMES, Layout, layouts

TRAIN: Final = "train"
TEST: Final = "test"
# The first is that of the imagefolder layout.
_FILE_KEYS: Final = ("file_name", "file")


@dataclass(frozen=True)
class Listing:
    """The images in their order; a row number is a place in it.

    Attributes:
        file: What lists them: the metadata file, or what holds the data set.
        layout: How the images are kept; ``None`` for a data set on the hub.
        names: Their files, relative to the metadata file's folder; empty where images are in the data set itself.
        concepts: Their concepts; as ``labels`` and ``splits`` empty texts where nothing is said.
        labels: Their labels.
        splits: ``"train"`` or ``"test"``.
        lines: In which line of ``file`` each stands; empty where there are no lines.
    """

    file: Path
    layout: Layout | None
    names: tuple[str, ...]
    concepts: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    lines: tuple[int, ...]

    @property
    def tables(self) -> Sequence[Path]:
        """The files of a data set within the folder."""
        if self.layout is None or self.layout.kind == "images":
            return ()
        return _saved_files(self.layout.files[0]) if self.layout.kind == "saved" else self.layout.files

    def note(self, problems: Problems, row: int, text: str, what: str = "") -> None:
        """Note a problem with the image of a row."""
        if self.lines:
            problems.add(self.file, self.lines[row], text, what)
        else:
            problems.add(self.file, row, text, what, unit="row")


def read_listing(folder: Path, images: Images, problems: Problems) -> Listing | None:
    """The list of the images at ``images.path``, ``None`` where there is none that can be read; problems are noted."""
    root = folder / images.path
    if not root.exists():
        problems.add(root, 0, f"is not there; expected {_expected(images.columns)}")
        return None
    found = layouts(root)
    if len(found) != 1:
        kinds = " and ".join(f"{each.kind} ({each.files[0].name})" for each in found) or "none of them"
        problems.add(root, 0, f"expected one of {_expected(images.columns)}; found {kinds}")
        return None
    (layout,) = found
    if layout.kind == "images":
        return _from_text(layout, problems)
    return _from_tables(root, layout, images.columns, problems)


def _expected(columns: Columns) -> str:
    return (
        f"{' or '.join(METADATA_NAMES)} (keys {_FILE_KEYS[0]}, concept), a parquet file, a folder of parquet files, a "
        f"`save_to_disk` folder (columns {columns.image}, {columns.concept})"
    )


# --- metadata.jsonl, metadata.csv -------------------------------------------------------------------------------------

_Lines = Iterator[tuple[int, Mapping[str, Any]]]


def _from_text(layout: Layout, problems: Problems) -> Listing | None:
    file = layout.files[0]
    text = read_text(file, problems)
    if text is None:
        return None
    read = _json_lines if file.suffix == ".jsonl" else _csv_lines
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    for line, values in read(file, text, problems):
        row = (values.get(_FILE_KEYS[0]) or values.get(_FILE_KEYS[1]), *map(values.get, ("concept", "label", "split")))
        if wrong := [value for value in row if value is not None and not isinstance(value, str)]:
            problems.add(file, line, "expected texts", shown(str(wrong[0])))
        elif not row[0]:
            problems.add(file, line, f"no image is named: expected the key {_FILE_KEYS[0]}", shown(", ".join(values)))
        else:
            rows.append(tuple(value or "" for value in row))
            lines.append(line)
    if not rows:
        problems.add(file, 0, "lists no image")
        return None
    names, concepts, labels, splits = zip(*rows, strict=True)
    return Listing(file, layout, names, concepts, labels, splits, tuple(lines))


def _json_lines(file: Path, text: str, problems: Problems) -> _Lines:
    # Not `splitlines`, which also breaks at characters that JSON has within a text.
    for line, written in enumerate(text.split("\n"), 1):
        if not written.strip():
            continue
        try:
            values = parse_json(written, file, line)
        except Unreadable as error:
            problems.add(file, line, "is not JSON", error.problem)
            continue
        if isinstance(values, dict):
            yield line, values
        else:
            problems.add(file, line, 'expected {"file_name": …, "concept": …}', shown(written))


def _csv_lines(file: Path, text: str, problems: Problems) -> _Lines:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        header = reader.fieldnames or []
        if "concept" not in header or not set(_FILE_KEYS) & set(header):
            problems.add(
                file, 1, "expected the columns file_name, concept and commas between them", shown(",".join(header))
            )
            return
        for values in reader:
            if None in values:
                problems.add(file, reader.line_num, f"expected {len(header)} cells: text with a comma stands in quotes")
            else:
                yield reader.line_num, values
    except csv.Error as error:
        problems.add(file, reader.line_num, f"is not CSV: {error}")


# --- parquet, `save_to_disk` ------------------------------------------------------------------------------------------


def _from_tables(root: Path, layout: Layout, columns: Columns, problems: Problems) -> Listing | None:
    import pyarrow as pa

    folder = root if root.is_dir() else root.parent
    read = _saved if layout.kind == "saved" else _parquet
    try:
        tables = []
        for file in _saved_files(layout.files[0]) if layout.kind == "saved" else layout.files:
            if reason := outside(folder, file.relative_to(folder).as_posix()):
                problems.add(file, 0, reason)
                return None
            tables.append(read(file, columns))
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, Unreadable) as error:
        problems.add(root, 0, "cannot be read", one_line(error))
        return None
    listings = [from_columns(root, layout, columns, *table, problems) for table in tables]
    there = [each for each in listings if each is not None]
    if len(there) < len(listings):
        return None
    parts = zip(*((each.concepts, each.labels, each.splits) for each in there), strict=True)
    concepts, labels, splits = (tuple(value for part in parts_ for value in part) for parts_ in parts)
    return Listing(root, layout, (), concepts, labels, splits, ())


def _wanted(columns: Columns, there: Sequence[str]) -> list[str]:
    return [name for name in columns.besides_image if name in there]


def _parquet(file: Path, columns: Columns) -> tuple[list[str], Mapping[str, list[Any]]]:
    import pyarrow.parquet as pq

    opened = pq.ParquetFile(file)
    there = opened.schema_arrow.names
    return there, opened.read(_wanted(columns, there)).to_pydict()


def _saved_files(folder: Path) -> list[Path]:
    state = folder / "state.json"
    if not state.is_file():
        raise ValueError("holds several splits: expected the folder of one of them, saved by itself")
    return [folder / each["filename"] for each in read_json(state)["_data_files"]]


def _saved(file: Path, columns: Columns) -> tuple[list[str], Mapping[str, list[Any]]]:
    import pyarrow as pa

    with pa.memory_map(str(file)) as mapped:
        table = pa.ipc.open_stream(mapped).read_all()
        return table.column_names, table.select(_wanted(columns, table.column_names)).to_pydict()


def from_columns(
    file: Path,
    layout: Layout | None,
    columns: Columns,
    there: Sequence[str],
    values: Mapping[str, Sequence[Any]],
    problems: Problems,
) -> Listing | None:
    """The list of the images of a data set, from its columns; ``None``, with a problem noted, where it has not what it needs.

    Args:
        file: What holds it, for messages.
        layout: How it is kept.
        columns: What its columns are called.
        there: The names of all its columns.
        values: Those of concept and, where there are any, of label and split, one value a row.
        problems: Where problems are noted.
    """
    if missing := [name for name in (columns.image, columns.concept) if name not in there]:
        problems.add(
            file, 0, f"no column {listed(missing)}; name yours under columns: in benchmark.yaml", listed(there)
        )
        return None
    count = len(values[columns.concept])
    found = [
        tuple(map(partial(_text, file, name, problems), range(count), values.get(name, [""] * count)))
        for name in columns.besides_image
    ]
    return Listing(file, layout, (), found[0], found[1], found[2], ())


def _text(file: Path, column: str, problems: Problems, row: int, value: Any) -> str:
    if value is not None and not isinstance(value, str):
        problems.add(file, row, f"expected texts in the column {column}", shown(str(value)), unit="row")
    return value if isinstance(value, str) else ""
