"""A comparison as tables: for the terminal, and with the same cells as Markdown and LaTeX; with all numbers as CSV."""

import csv
import io
import shlex
from collections.abc import Sequence
from dataclasses import fields
from typing import Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness_ext.report.cells import Block, number
from harness_ext.report.compare.measures import Comparison, Pair, Row
from harness_ext.report.table import SOURCE_TITLES, markdown_table

HEADER: Final = (
    "",
    "before",
    "after",
    "change [95 %]",
    "gained / lost",
    "p (Holm)",
    "difference",
    "retained?",
    "could show",
    "units",
)
_WIDE: Final = 150
_STYLES: Final = {
    "better": "green",
    "retained": "green",
    "worse": "red",
    "degraded": "red",
    "undecided": "yellow",
}
_LATEX: Final = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def title(comparison: Comparison, pair: Pair) -> str:
    """Which run is held against which."""
    first, other = comparison.first, pair.model
    names = f"{first.name} -> {other.name}" if first.name != other.name else first.name
    source = f", {SOURCE_TITLES[comparison.source]}" if comparison.source else ""
    return f"{names} ({first.folder} -> {other.folder}){source}"


def block(pair: Pair) -> Block:
    """The table of a pair of runs."""
    return Block("", HEADER, tuple(_cells(row) for row in pair.rows))


def summary(pair: Pair, margin: float) -> str:
    """The verdicts, counted."""
    better, worse = ([row.difference for row in pair.rows].count(which) for which in ("better", "worse"))
    verdicts = [row.retention for row in pair.rows if row.retention]
    counted = ", ".join(f"{verdicts.count(name)} {name}" for name in ("retained", "degraded", "undecided"))
    return f"Of {len(pair.rows)} measures {better} are better and {worse} worse. Against a margin of {margin:g}: {counted}."


def notes(comparison: Comparison, pair: Pair) -> list[str]:
    """What a reader must know to read the table right."""
    margin = f"{comparison.margin:g}"
    found = [
        summary(pair, comparison.margin),
        "Change: after minus before; in brackets the 95 % interval by resampling units (concepts, images, samples). "
        "For what is marked (less is better) a negative change is a gain.",
        "p: by swapping whole units between the runs, with Holm's correction over all rows here; difference: p below 0.05.",
        f"retained: the interval excludes a loss of {margin} or more; degraded: any smaller one; undecided: neither.",
        "could show: the smallest true change that would have been shown with a power of 80 % (alpha 5 %, uncorrected).",
    ]
    if any(row.kind == "judged" for row in pair.rows):
        found.append("na counts as wrong. A gap also closes when text accuracy is lost: see its rows.")
    if len(comparison.pairs) > 1:
        runs = len(comparison.pairs)
        found.append(f"{runs} runs are held against one: choosing the best of them needs a further correction.")
    return found + list(pair.notes)


# --- cells ------------------------------------------------------------------------------------------------------------


def _cells(row: Row) -> tuple[tuple[str, ...], ...]:
    interval = (
        f"[{number(row.low, True)}, {number(row.high, True)}]"
        if row.low is not None and row.high is not None
        else "none"
    )
    direction = "" if row.higher_is_better else " (less is better)"
    return (
        (f"{row.title}{direction}",),
        (number(row.before),),
        (number(row.after),),
        (number(row.change, True), interval),
        ("" if row.gained is None else f"{row.gained} / {row.lost}",),
        (_p(row.p_holm),),
        (row.difference,),
        (row.retention or "",),
        ("none" if row.smallest_difference is None else number(row.smallest_difference),),
        _units(row),
    )


def _units(row: Row) -> tuple[str, ...]:
    units = f"{row.n_units} {row.unit}s"
    return (units,) if row.n_samples == row.n_units else (f"{units},", f"{row.n_samples} answers")


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


# --- renderings -------------------------------------------------------------------------------------------------------


def print_tables(comparison: Comparison, console: Console) -> None:
    """Print for the terminal; where it is narrow, a cell's parts stand one below the other."""
    join = " " if console.width >= _WIDE else "\n"
    for pair in comparison.pairs:
        # Paths in it are there to be copied.
        console.print(title(comparison, pair), style="bold", highlight=False, markup=False, soft_wrap=True)
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for index, name in enumerate(HEADER):
            table.add_column(name.replace(" ", join), justify="left" if index in (0, len(HEADER) - 1) else "right")
        for cells in block(pair).rows:
            table.add_row(*(_styled(join.join(parts)) for parts in cells))
        console.print(table, highlight=False)
        console.print()
        for note in notes(comparison, pair):
            console.print(note, highlight=False, markup=False)
        console.print()


def _styled(text: str) -> str:
    return f"[{_STYLES[text]}]{text}[/]" if text in _STYLES else escape(text)


def markdown(comparison: Comparison, argv: Sequence[str]) -> str:
    """The tables as Markdown, with the command that made them."""
    parts = [f"Made by:\n\n```\n{shlex.join(argv)}\n```"]
    for pair in comparison.pairs:
        parts.append(f"# {title(comparison, pair)}")
        parts.append(markdown_table(HEADER, [[" ".join(cell) for cell in cells] for cells in block(pair).rows]))
        parts.append("\n".join(f"- {note}" for note in notes(comparison, pair)))
        files = [*comparison.first.files, *pair.model.files]
        parts.append("Results files:\n\n" + "\n".join(f"- `{file}`" for file in files))
    return "\n\n".join(parts) + "\n"


def latex(comparison: Comparison) -> str:
    """The tables for LaTeX, with the package booktabs; what is measured, the numbers, and the verdicts."""
    shown = (0, 1, 2, 3, 5, 6, 7)
    parts = []
    for pair in comparison.pairs:
        lines = [f"% {title(comparison, pair)}", rf"\begin{{tabular}}{{l{'r' * (len(shown) - 1)}}}", r"\toprule"]
        lines += [_latex_line([HEADER[at] for at in shown]), r"\midrule"]
        lines += [_latex_line([" ".join(cells[at]) for at in shown]) for cells in block(pair).rows]
        lines += [r"\bottomrule", r"\end{tabular}", *(f"% {note}" for note in notes(comparison, pair))]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _latex_line(cells: Sequence[str]) -> str:
    escaped = ("".join(_LATEX.get(letter, letter) for letter in cell) for cell in cells)
    return " & ".join(escaped) + r" \\"


def as_csv(comparison: Comparison) -> str:
    """Every row of every pair with all its numbers, unrounded; what there is none of is empty."""
    text = io.StringIO()
    names = [field.name for field in fields(Row)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["before_run", "after_run", "source", "margin", *names])
    for pair in comparison.pairs:
        runs = [comparison.first.folder, pair.model.folder, comparison.source, comparison.margin]
        writer.writerows([*runs, *(getattr(row, name) for name in names)] for row in pair.rows)
    return text.getvalue()
