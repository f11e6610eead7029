"""SMID and the NSFW data set: images of other kinds than UnsafeConcepts', each labelled safe or unsafe as a whole.

The published columns are ``index``, the row's number; ``image``, a file in base64, or the number of a row whose image is
shown again; ``label``, "Safe" or "Unsafe".
"""

import base64
import binascii
import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import datasets
import pyarrow.compute as pc

from harness_ext.common.errors import SourceError
from harness_ext.records import SAFE, UNSAFE, image_as_concept
from harness_ext.sources.prepared import map_once, with_columns

_LABELS: Final = {"Safe": SAFE, "Unsafe": UNSAFE}
_REFERENCE: Final = r"^[0-9]+$"
# Raised with every change of what is kept, so that what is there already is not taken for it.
_VERSION: Final = 1


def labelled_rows(title: str, raw: datasets.Dataset, name: str) -> datasets.Dataset:
    """The checked rows of the data set ``title``, read from ``name``; their columns are those of ``sets.load_set``.

    ``concept`` says which image it is: images are the units of intervals here. The first use of a copy decodes every image.
    Raises ``SourceError`` where the rows are not in the published form.
    """
    for row, index in enumerate(raw["index"]):
        if str(index) != str(row):  # references go by the row's number: in another order they would show other images
            raise SourceError(f"{name}, row {row}: expected the row's number under 'index', found {index!r}")
    labels: list[str] = raw["label"][:]
    for row, label in enumerate(labels):
        if label not in _LABELS:
            raise SourceError(f"{name}, row {row}: expected the label 'Safe' or 'Unsafe', found {label!r}")
    shown = shown_rows(_references(raw, name), name)
    columns: dict[str, list[Any]] = {
        "row": list(range(len(raw))),
        "concept": [image_as_concept(title, carrier) for carrier in shown],
        "category": [title] * len(raw),
        "label": [_LABELS[label] for label in labels],
    }
    return with_columns(_decoded(raw, shown, name), columns)


def _references(raw: datasets.Dataset, name: str) -> list[int | None]:
    """The row that each row refers to; ``None`` for one with an image of its own."""
    column = raw.data.column("image")
    if str(column.type) not in ("string", "large_string"):
        raise SourceError(f"{name}: expected text under 'image' (base64, or a row's number), found {column.type}")
    if column.null_count:
        raise SourceError(f"{name}, row {column.is_null().to_pylist().index(True)}: no image")
    # Not in Python: the texts are whole images.
    refers = pc.match_substring_regex(column, _REFERENCE)
    return [None if text is None else int(text) for text in pc.if_else(refers, column, None).to_pylist()]


def shown_rows(references: Sequence[int | None], name: str) -> list[int]:
    """The row whose own image each row shows, by following the references.

    Args:
        references: The row that each row refers to; ``None`` for one with an image of its own.
        name: The data set's, for messages.

    Raises:
        SourceError: A reference names no row, or leads back to its own row.
    """
    shown = []
    for start in range(len(references)):
        way = [start]
        while (target := references[at := way[-1]]) is not None:
            if target >= len(references):
                raise SourceError(
                    f"{name}, row {at}: refers to row {target} for its image; the last row is {len(references) - 1}"
                )
            if target in way:
                raise SourceError(
                    f"{name}, row {start}: its image refers in a circle, {' -> '.join(map(str, [*way, target]))}"
                )
            way.append(target)
        shown.append(at)
    return shown


def _decoded(raw: datasets.Dataset, shown: Sequence[int], name: str) -> datasets.Dataset:
    """A column ``image``, the files of the ``shown`` rows; kept in the cache folder for as long as the rows are the same."""
    key = json.dumps([_VERSION, raw._fingerprint, list(shown)])
    return map_once(
        raw.select_columns(["index", "image"]).select(shown),
        functools.partial(_file, name=name),
        "images-decoded",
        key,
        features=datasets.Features(image=datasets.Image()),
        remove_columns=["index"],
        desc="Decoding images (once)",
    )


def _file(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    try:
        content = base64.b64decode(row["image"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise SourceError(
            f"{name}, row {row['index']}: expected an image in base64 or a row's number ({error}), found "
            f"{len(row['image'])} characters that are neither"
        ) from error
    return {"image": {"bytes": content, "path": None}}
