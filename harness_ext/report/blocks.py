"""Tables of cells, and every form that they are written in: terminal, Markdown, CSV, LaTeX, and the page's HTML."""

import csv
import io
import json
import os
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isnan
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from harness_ext.metrics.agreement import Share
from harness_ext.metrics.units import Estimate

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Cell = tuple[str, ...]

_NO_STYLES: Final[Mapping[str, str]] = MappingProxyType({})
_INTERVAL: Final = re.compile(r"\[([^,\]]+), ([^,\]]+)\]")
_NUMBER: Final = re.compile(r"<?[+-]?\d[\d,.]*( / \d+)?|none|not asked|not defined|")
_SHORT: Final = 14
_LATEX: Final = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


@dataclass(frozen=True)
class Block:
    """A table.

    Attributes:
        title: Its heading; empty where the text around it says what it is.
        header: The columns' names.
        rows: The cells. A cell is its parts, which stand side by side or, in a narrow terminal, one above the other.
        notes: What a reader must know, a line each.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()


# --- cells ------------------------------------------------------------------------------------------------------------


def number(value: float, signed: bool = False) -> str:
    """Three decimals; the word "none" for nan."""
    return "none" if isnan(value) else f"{value:{'+' if signed else ''}.3f}"


def estimated(estimate: Estimate | Share, signed: bool = False) -> Cell:
    """A value and, where it has one, its interval."""
    if estimate.low is None or estimate.high is None:
        return (number(estimate.value, signed),)
    return number(estimate.value, signed), f"[{number(estimate.low, signed)}, {number(estimate.high, signed)}]"


def defined(estimate: Estimate | None, signed: bool = False) -> Cell:
    """As :func:`estimated`; the words "not defined" for a measure that these answers do not have."""
    return ("not defined",) if estimate is None or isnan(estimate.value) else estimated(estimate, signed)


def counted(*counts: int) -> tuple[Cell, ...]:
    """Whole numbers, a cell each."""
    return tuple((str(count),) for count in counts)


# --- the terminal -----------------------------------------------------------------------------------------------------


def console(piped_width: int, least_width: int = 0) -> "Console":
    """A console of ``piped_width`` columns in a pipe, where Rich would cut lines at 80, and of ``least_width`` anywhere.

    A table would lose cells in a narrower one; a narrower terminal breaks its lines instead.
    """
    from rich.console import Console

    found = Console()
    width = found.width if found.is_terminal or "COLUMNS" in os.environ else piped_width
    wanted = max(width, least_width)
    return found if wanted == found.width else Console(width=wanted)


def print_blocks(title: str, blocks: Iterable[Block], printed_on: "Console") -> None:
    """Print a title, tables, and an empty line."""
    printed_on.print(title, style="bold", highlight=False, markup=False)
    for block in blocks:
        print_block(block, printed_on)
    printed_on.print()


def print_block(block: Block, printed_on: "Console") -> None:
    """Print a table with its title and notes; where it is too wide, a cell's parts stand one below the other."""
    lines = [block.header, *([" ".join(cell) for cell in row] for row in block.rows)]
    width = sum(max(map(len, column)) + 1 for column in zip(*lines, strict=True))
    printed_on.print(f"\n{block.title}", highlight=False, markup=False)
    printed_on.print(rich_table(block, " " if printed_on.width >= width else "\n"), highlight=False)
    print_lines(block.notes, printed_on)


def print_lines(lines: Iterable[str], printed_on: "Console") -> None:
    """Print text as it is."""
    for line in lines:
        printed_on.print(line, highlight=False, markup=False)


def rich_table(
    block: Block,
    join: str = " ",
    left: Collection[int] = (0,),
    wrapped: Collection[int] = (0,),
    styles: Mapping[str, str] = _NO_STYLES,
) -> "Table":
    """The cells of a table, for Rich to print.

    ``join`` stands between a cell's parts. The columns ``left`` are set flush left, the lines of the columns ``wrapped`` may
    be broken. ``styles`` has Rich's style of a cell by its text.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for at, name in enumerate(block.header):
        table.add_column(name, justify="left" if at in left else "right", no_wrap=at not in wrapped, overflow="fold")
    for row in block.rows:
        # As text: a model's name in square brackets is no markup.
        texts = [join.join(cell) for cell in row]
        table.add_row(*(Text.assemble((text, styles.get(text, ""))) for text in texts))
    return table


def print_boxed(block: Block, printed_on: "Console") -> None:
    """Print a table in a box, under its title and above its notes."""
    from rich.table import Table

    table = Table(*block.header, title=block.title or None, caption="\n".join(block.notes))
    for row in block.rows:
        table.add_row(*(" ".join(cell) for cell in row))
    printed_on.print(table)


# --- Markdown, JSON and CSV -------------------------------------------------------------------------------------------


def markdown_document(command: Sequence[str], parts: Iterable[Block | str]) -> str:
    """Paragraphs, and tables each under its title and above its notes; first the command that made them."""
    written = [f"Made by:\n\n```\n{shlex.join(command)}\n```"]
    for part in parts:
        if isinstance(part, str):
            written.append(part)
            continue
        if part.title:
            written.append(f"## {part.title}")
        written.append(block_markdown(part))
        if part.notes:
            written.append(markdown_list(part.notes))
    return "\n\n".join(written) + "\n"


def markdown_list(lines: Iterable[str]) -> str:
    """Lines as a list of Markdown."""
    return "\n".join(f"- {line}" for line in lines)


def block_markdown(block: Block) -> str:
    """One block as a table of Markdown, without its title and notes."""
    return markdown_table(block.header, [[" ".join(cell) for cell in row] for row in block.rows])


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells as a table of Markdown."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def json_document(command: Sequence[str], content: Mapping[str, Any]) -> str:
    """Numbers as JSON, with the command that made them."""
    return json.dumps({"command": list(command), **content}, indent=1, ensure_ascii=False) + "\n"


def csv_document(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Values as CSV."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return written.getvalue()


def block_csv(block: Block) -> str:
    """One block as CSV; a column with intervals is three: the value, its lower and its upper end."""
    wide = [any(_INTERVAL.fullmatch(" ".join(row[at][1:])) for row in block.rows) for at in range(len(block.header))]
    header: list[str] = []
    for name, split in zip(block.header, wide, strict=True):
        header += [name, f"{name}, low", f"{name}, high"] if split else [name]
    return csv_document(
        header,
        (
            [value for cell, split in zip(row, wide, strict=True) for value in _values(cell, split)]
            for row in block.rows
        ),
    )


def _values(cell: Cell, split: bool) -> Iterator[str]:
    if not split:
        yield " ".join(cell)
    else:
        yield cell[0]
        found = _INTERVAL.fullmatch(cell[1]) if len(cell) > 1 else None
        yield from found.groups() if found else ("", "")


# --- LaTeX ------------------------------------------------------------------------------------------------------------


def block_latex(block: Block, label: str) -> str:
    """One block as a ``table`` of LaTeX with the rules of the package booktabs."""
    columns = "".join("r" if numeric else "l" for numeric in numeric_columns(block))
    head = [r"\begin{table}", r"  \centering", rf"  \caption{{{_latex(block.title)}}}", rf"  \label{{tab:{label}}}"]
    tabular = [f"  {line}" for line in latex_tabular(block, columns, indent="  ")]
    return "\n".join([*head, *tabular, r"\end{table}", ""])


def latex_tabular(block: Block, columns: str, indent: str = "", plain: str = "") -> list[str]:
    """The lines of a ``tabular`` of LaTeX, whose ``columns`` are set as in ``lrr``; signs in ``plain`` are not escaped."""
    head, *body = (
        " & ".join(_latex(" ".join(cell), plain) for cell in row) + r" \\"
        for row in (((name,) for name in block.header), *block.rows)
    )
    inside = [r"\toprule", head, r"\midrule", *body, r"\bottomrule"]
    return [rf"\begin{{tabular}}{{{columns}}}", *(f"{indent}{line}" for line in inside), r"\end{tabular}"]


def _latex(text: str, plain: str = "") -> str:
    return "".join(letter if letter in plain else _LATEX.get(letter, letter) for letter in text)


# --- how columns are set, in LaTeX and in the page's HTML -------------------------------------------------------------


def numeric_columns(block: Block) -> list[bool]:
    """Which columns hold numbers, and are set flush right."""
    return [
        at > 0 and all(_NUMBER.fullmatch(row[at][0]) for row in block.rows) and any(row[at][0] for row in block.rows)
        for at in range(len(block.header))
    ]


def spans(block: Block) -> list[int]:
    """For each row how many rows its first cell covers: equal first cells stand once, and the rows below them get 0."""
    found: list[int] = []
    for _, rows in groupby(block.rows, key=lambda row: row[0]):
        count = len(list(rows))
        found += [count, *[0] * (count - 1)]
    return found


def whole_columns(block: Block) -> list[bool]:
    """Which columns beside the first hold, heading included, parts that are too short to be broken between words."""
    return _all_short(block, lambda cell: cell)


def short_columns(block: Block) -> list[bool]:
    """Which columns beside the first hold, heading included, words that are too short to be broken."""
    return _all_short(block, lambda cell: " ".join(cell).split())


def _all_short(block: Block, pieces: Callable[[Cell], Iterable[str]]) -> list[bool]:
    columns = zip(((name,) for name in block.header), *block.rows, strict=True)
    return [
        at > 0 and all(len(piece) <= _SHORT for cell in column for piece in pieces(cell))
        for at, column in enumerate(columns)
    ]
