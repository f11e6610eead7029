"""Tables of cells, and every form that they are written in: terminal, Markdown, CSV, LaTeX, and the page's HTML."""

import csv
import io
import json
import os
import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isnan
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness_ext.common.output import neutral
from harness_ext.metrics.agreement import Share
from harness_ext.metrics.units import Estimate

Cell = tuple[str, ...]
Value = str | int | float | Estimate | Share | Cell | None

_INTERVAL: Final = re.compile(r"\[(?P<low>[^,\]]+), (?P<high>[^,\]]+)\]")
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


# Markdown takes these for a tag, an escape, or the middle of a link or an image; "<0.001" and "[0.1, 0.2]" are none.
_MARKDOWN: Final = re.compile(r"<(?=[A-Za-z/!?])|\](?=[(\[:])|\\(?=[^\w\s])")
# What makes a cell a formula to a spreadsheet; the apostrophe too, so that a reader takes off one and no more.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "＝", "＋", "－", "＠")
# A sheet that takes another separator than the comma ends a cell here, quotes or not.
_FORMULA_WITHIN: Final = re.compile(r'(?<=[;|\t\n])([ "]*)(?=[=+\-@＝＋－＠])')
_SIGNED: Final = re.compile(r"[+-]\d[\d,.]*(?:e[+-]?\d+)?%?")


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

    def __post_init__(self) -> None:
        # Names, sources and notes come from outside; here they pass on their way to every form.
        neutral_rows = tuple(tuple(tuple(map(neutral, cell)) for cell in row) for row in self.rows)
        object.__setattr__(self, "title", neutral(self.title))
        object.__setattr__(self, "header", tuple(map(neutral, self.header)))
        object.__setattr__(self, "rows", neutral_rows)
        object.__setattr__(self, "notes", tuple(map(neutral, self.notes)))


# --- cells ------------------------------------------------------------------------------------------------------------


def make_block(title: str, header: Sequence[str], rows: Iterable[Iterable[Value]], notes: Sequence[str] = ()) -> Block:
    """A table of values: a share with three decimals, an estimate with its interval, ``None`` as "not asked"."""
    return Block(title, tuple(header), tuple(tuple(map(_cell, row)) for row in rows), tuple(notes))


def with_rows(blocks: Iterable[Block]) -> list[Block]:
    """The blocks that have any."""
    return [block for block in blocks if block.rows]


def _cell(value: Value) -> Cell:
    if isinstance(value, tuple):
        return value
    if isinstance(value, Estimate | Share):
        return estimated(value)
    if isinstance(value, float):
        return (number(value),)
    return ("not asked" if value is None else str(value),)


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


# --- the terminal -----------------------------------------------------------------------------------------------------


def console(piped_width: int, least_width: int = 0) -> Console:
    """A console of ``piped_width`` columns in a pipe, where Rich would cut lines at 80, and of ``least_width`` anywhere.

    A table would lose cells in a narrower one; a narrower terminal breaks its lines instead.
    """
    found = Console()
    width = found.width if found.is_terminal or "COLUMNS" in os.environ else piped_width
    wanted = max(width, least_width)
    return found if wanted == found.width else Console(width=wanted)


def print_blocks(title: str, blocks: Iterable[Block], printed_on: Console) -> None:
    """Print a title, tables, and an empty line."""
    print_lines([title], printed_on, "bold")
    for block in blocks:
        print_block(block, printed_on)
    printed_on.print()


def print_block(block: Block, printed_on: Console) -> None:
    """Print a table with its title and notes; where it is too wide, a cell's parts stand one below the other."""
    lines = [block.header, *([" ".join(cell) for cell in row] for row in block.rows)]
    width = sum(max(map(len, column)) + 1 for column in zip(*lines, strict=True))
    print_lines([f"\n{block.title}"], printed_on)
    printed_on.print(rich_table(block, " " if printed_on.width >= width else "\n"), highlight=False)
    print_lines(block.notes, printed_on)


def print_lines(lines: Iterable[str], printed_on: Console, style: str = "", soft_wrap: bool = False) -> None:
    """Print text as it is, in one of Rich's styles: nothing in it is markup, an emoji or a command."""
    for line in lines:
        printed_on.print(Text(neutral(line), style), highlight=False, soft_wrap=soft_wrap)


def rich_table(
    block: Block,
    join: str = " ",
    left: Collection[int] = (0,),
    wrapped: Collection[int] = (0,),
    styles: Mapping[str, str] | None = None,
) -> Table:
    """The cells of a table, for Rich to print.

    ``join`` stands between a cell's parts. The columns ``left`` are set flush left, the lines of the columns ``wrapped`` may
    be broken. ``styles`` has Rich's style of a cell by its text.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for at, name in enumerate(block.header):
        table.add_column(
            Text(name), justify="left" if at in left else "right", no_wrap=at not in wrapped, overflow="fold"
        )
    for row in block.rows:
        # As text: a model's name in square brackets is no markup.
        table.add_row(*(Text(text, (styles or {}).get(text, "")) for text in map(join.join, row)))
    return table


def print_boxed(block: Block, printed_on: Console) -> None:
    """Print a table in a box, under its title and above its notes."""
    title = Text(block.title, "table.title") if block.title else None
    table = Table(title=title, caption=Text("\n".join(block.notes), "table.caption"))
    for name in block.header:
        table.add_column(Text(name))
    for row in block.rows:
        table.add_row(*(Text(" ".join(cell)) for cell in row))
    printed_on.print(table)


# --- Markdown, JSON and CSV -------------------------------------------------------------------------------------------


def markdown_document(command: Sequence[str], parts: Iterable[Block | str]) -> str:
    """Paragraphs of Markdown, and tables each under its title and above its notes; first the command that made them."""
    made_by = neutral(shlex.join(command))
    fence = _fence(made_by, 3)
    written = [f"Made by:\n\n{fence}\n{made_by}\n{fence}"]
    for part in parts:
        if isinstance(part, str):
            written.append(neutral(part))
            continue
        if part.title:
            written.append(f"## {markdown_text(part.title)}")
        written.append(block_markdown(part))
        if part.notes:
            written.append(markdown_list(part.notes))
    return "\n\n".join(written) + "\n"


def markdown_list(lines: Iterable[str]) -> str:
    """Lines of text as a list of Markdown."""
    return "\n".join(f"- {markdown_text(line)}" for line in lines)


def markdown_text(text: str) -> str:
    """A text as one line of Markdown, in which nothing is a tag of HTML, a link or an image."""
    return _MARKDOWN.sub(r"\\\g<0>", _one_line(neutral(text)))


def markdown_code(text: str) -> str:
    """A text as code on a line of Markdown."""
    line = _one_line(neutral(text))
    fence, pad = _fence(line, 1), " " * ("`" in line)
    return f"{fence}{pad}{line}{pad}{fence}"


def _fence(text: str, least: int) -> str:
    """More backticks than stand side by side in ``text``."""
    return "`" * max(least, 1 + max(map(len, re.findall("`+", text)), default=0))


def _one_line(text: str) -> str:
    return text.replace("\n", " ")


def block_markdown(block: Block) -> str:
    """One block as a table of Markdown, without its title and notes."""
    return markdown_table(block.header, [[" ".join(cell) for cell in row] for row in block.rows])


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells as a table of Markdown."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(_markdown_cell, line)) + " |" for line in lines)


def _markdown_cell(text: str) -> str:
    return markdown_text(text).replace("|", "\\|")


def json_document(command: Sequence[str], content: Mapping[str, Any]) -> str:
    """Numbers as JSON, with the command that made them."""
    return json.dumps({"command": list(command), **content}, indent=1, ensure_ascii=False) + "\n"


def csv_document(header: Iterable[str], rows: Iterable[Iterable[Any]], signed: bool = False) -> str:
    """Values as CSV, in which no spreadsheet takes a text, or a part of one, for a formula: it has an apostrophe before it.

    A part is what follows a semicolon, a bar, a tab or a line feed, each of which ends a cell where it is the separator.
    ``signed`` leaves a text that is a number with a sign as it is.
    """
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    for row in (header, *rows):
        writer.writerow([_csv_cell(value, signed) if isinstance(value, str) else value for value in row])
    return written.getvalue()


def _csv_cell(text: str, signed: bool) -> str:
    shown = neutral(text)
    is_formula = shown.startswith(_FORMULA) and not (signed and _SIGNED.fullmatch(shown))
    return ("'" if is_formula else "") + _FORMULA_WITHIN.sub(r"\1'", shown)


def block_csv(block: Block) -> str:
    """One block as CSV; a column with intervals is three: the value, its lower and its upper end."""
    columns: list[list[str]] = []
    for name, *cells in zip(((name,) for name in block.header), *block.rows, strict=True):
        intervals = [_INTERVAL.fullmatch(" ".join(cell[1:])) for cell in cells]
        if any(intervals):
            columns.append([*name, *(cell[0] for cell in cells)])
            for end in ("low", "high"):
                columns.append([f"{name[0]}, {end}", *(found[end] if found else "" for found in intervals)])
        else:
            columns.append([*name, *map(" ".join, cells)])
    header, *rows = zip(*columns, strict=True)
    return csv_document(header, rows, signed=True)


# --- LaTeX ------------------------------------------------------------------------------------------------------------


def block_latex(block: Block, label: str) -> str:
    """One block as a ``table`` of LaTeX with the rules of the package booktabs."""
    columns = "".join("r" if kind == "number" else "l" for kind in column_kinds(block))
    head = [r"\begin{table}", r"  \centering", rf"  \caption{{{_latex(block.title)}}}", rf"  \label{{tab:{label}}}"]
    first, *inside, last = latex_tabular(block, columns)
    return "\n".join([*head, f"  {first}", *(f"    {line}" for line in inside), f"  {last}", r"\end{table}", ""])


def latex_tabular(block: Block, columns: str, plain: str = "") -> list[str]:
    """The lines of a ``tabular`` of LaTeX, whose ``columns`` are set as in ``lrr``; signs in ``plain`` are not escaped."""
    head, *body = (
        _latex_row([_latex(" ".join(cell), plain) for cell in row])
        for row in (((name,) for name in block.header), *block.rows)
    )
    return [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]


def _latex_row(cells: Sequence[str]) -> str:
    first, *others = cells
    # Of a row's first cell these would belong to the line break before it.
    first = f"{{{first[0]}}}{first[1:]}" if first.startswith(("[", "*")) else first
    return " & ".join([first, *others]) + r" \\"


def _latex(text: str, plain: str = "") -> str:
    return "".join(letter if letter in plain else _LATEX.get(letter, letter) for letter in _one_line(neutral(text)))


# --- how columns are set, in LaTeX and in the page's HTML -------------------------------------------------------------


def column_kinds(block: Block) -> list[str]:
    """How each column is set; the empty text for the first one, and for one whose words may be broken.

    ``"number"`` is set flush right. A ``"whole"`` column holds, heading included, parts that are too short to be broken
    between words, a ``"short"`` one words that are too short to be broken.
    """
    _, *columns = zip(((name,) for name in block.header), *block.rows, strict=True)
    return ["", *map(_kind, columns)]


def _kind(column: Sequence[Cell]) -> str:
    values = [cell[0] for cell in column[1:]]
    if any(values) and all(map(_NUMBER.fullmatch, values)):
        return "number"
    if all(len(part) <= _SHORT for cell in column for part in cell):
        return "whole"
    return "short" if all(len(word) <= _SHORT for cell in column for word in " ".join(cell).split()) else ""


def spans(block: Block) -> list[int]:
    """For each row how many rows its first cell covers: equal first cells stand once, and the rows below them get 0."""
    found: list[int] = []
    for _, rows in groupby(block.rows, key=lambda row: row[0]):
        count = len(list(rows))
        found += [count, *[0] * (count - 1)]
    return found
