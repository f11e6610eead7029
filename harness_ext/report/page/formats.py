"""A table as CSV and as LaTeX; as Markdown it is what ``unsafeconcepts table`` writes."""

import csv
import io
import re
from collections.abc import Iterator
from typing import Final

from harness_ext.report.cells import Block
from harness_ext.report.page.layout import numeric_columns

_SPECIAL: Final = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}
_INTERVAL: Final = re.compile(r"\[([^,\]]+), ([^,\]]+)\]")


def csv_table(block: Block) -> str:
    """As CSV; a column with intervals is three: the value, its lower and its upper end."""
    wide = [any(_INTERVAL.fullmatch(" ".join(row[at][1:])) for row in block.rows) for at in range(len(block.header))]
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    header = zip(block.header, wide, strict=True)
    writer.writerow(
        [
            name
            for title, split in header
            for name in ((title, f"{title}, low", f"{title}, high") if split else (title,))
        ]
    )
    for row in block.rows:
        writer.writerow([value for cell, split in zip(row, wide, strict=True) for value in _values(cell, split)])
    return written.getvalue()


def _values(cell: tuple[str, ...], split: bool) -> Iterator[str]:
    if not split:
        yield " ".join(cell)
    else:
        yield cell[0]
        found = _INTERVAL.fullmatch(cell[1]) if len(cell) > 1 else None
        yield from found.groups() if found else ("", "")


def latex_table(block: Block, label: str) -> str:
    """As a ``table`` of LaTeX with the rules of the package booktabs."""
    lines = [
        " & ".join(map(_latex, block.header)),
        *(" & ".join(_latex(" ".join(cell)) for cell in row) for row in block.rows),
    ]
    columns = "".join("r" if numeric else "l" for numeric in numeric_columns(block))
    head, *body = (f"    {line} \\\\" for line in lines)
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{_latex(block.title)}}}",
            rf"  \label{{tab:{label}}}",
            rf"  \begin{{tabular}}{{{columns}}}",
            r"    \toprule",
            head,
            r"    \midrule",
            *body,
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _latex(text: str) -> str:
    return "".join(_SPECIAL.get(letter, letter) for letter in text)
