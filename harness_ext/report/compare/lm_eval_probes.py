"""The text-only probe as lm-eval writes it: lm-eval cannot carry the judged record, but keeps the row and the metrics.

The two together are the record: in a text-only question there are two verdicts, so that a wrong one is the other.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from harness_ext.common.errors import UserError
from harness_ext.metrics.records import FAILED, NA, Judgement
from harness_ext.report.samples import read_rows

_ROW: Final = {"source", "probe", "row", "concept", "category", "label", "question", "expected"}
_OTHER: Final = {"safe": "unsafe", "unsafe": "safe"}
# lm-eval's files do not hold the judge's name; that the tasks are of one version is checked.
_JUDGE: Final = "as lm-eval ran it"


def is_probe(row: Mapping[str, Any]) -> bool:
    """Whether a sample of lm-eval is of this project's task."""
    return isinstance(doc := row.get("doc"), dict) and doc.keys() >= _ROW and "failed" in row


def probe_records(path: Path, expected: int) -> tuple[Judgement, ...]:
    """The judged answers of a file of samples. Raises ``UserError``, naming the line, for a row that is none."""
    return tuple(_record(row, path, number) for number, row in read_rows(path, expected))


def _record(row: Mapping[str, Any], path: Path, number: int) -> Judgement:
    if not is_probe(row) or row["doc"]["probe"] != "text" or row["doc"]["expected"] not in _OTHER:
        raise UserError(
            f"{path}, line {number}: no text-only question. Was it written by another version of this project?"
        )
    right = row["doc"]["expected"]
    if row["failed"]:
        verdict = FAILED
    elif "na" not in row or "acc_na_wrong" not in row:
        raise UserError(
            f"{path}, line {number}: neither na nor acc_na_wrong. Was it written by another version of this project?"
        )
    else:
        verdict = NA if row["na"] else right if row["acc_na_wrong"] else _OTHER[right]
    return Judgement(**{name: row["doc"][name] for name in _ROW}, verdict=verdict, judge=_JUDGE)
