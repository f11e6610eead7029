"""A comparison as tables: for the terminal, and with the same cells as Markdown and LaTeX; with all numbers as CSV."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Final, get_args

from rich.console import Console

from harness_ext.metrics.intervals import FEWEST
from harness_ext.records import Retention
from harness_ext.registry import benchmark_named
from harness_ext.report.blocks import (
    Block,
    Value,
    csv_document,
    latex_tabular,
    make_block,
    markdown_code,
    markdown_document,
    markdown_text,
    number,
    print_lines,
    rich_table,
)
from harness_ext.report.compare.measures import MARGIN, TEXT_MARGIN, Comparison, Pair, Row
from harness_ext.report.compare.policies import PolicyPair
from harness_ext.report.compare.policy_tables import COLUMNS, concept_rows, policy_notes, verdict_blocks

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
    "follows": "green",
    "does not follow": "red",
    "follows partly": "yellow",
    "moves": "yellow",
}


def title(comparison: Comparison, pair: Pair) -> str:
    """Which run is held against which."""
    first, other = comparison.first, pair.model
    names = f"{first.name} -> {other.name}" if first.name != other.name else first.name
    if isinstance(pair, PolicyPair):
        folders = f"{first.folder} -> {other.folder}" if first.folder != other.folder else first.folder
        return f"{names} ({folders}), {' -> '.join(policy.title for policy in pair.policies)}"
    source = f", {benchmark_named(comparison.source).full_title}" if comparison.source else ""
    return f"{names} ({first.folder} -> {other.folder}){source}"


def block(comparison: Comparison, pair: Pair) -> Block:
    """The table of a pair of runs, and what a reader must know to read it right."""
    return make_block("", HEADER, map(_values, pair.rows), _notes(comparison, pair))


def blocks(comparison: Comparison, pair: Pair) -> list[Block]:
    """The table of a pair of runs, and between two policies those of the concepts' verdicts."""
    return [block(comparison, pair), *(verdict_blocks(pair) if isinstance(pair, PolicyPair) else ())]


def _notes(comparison: Comparison, pair: Pair) -> list[str]:
    better, worse = ([row.difference for row in pair.rows].count(which) for which in ("better", "worse"))
    verdicts = [row.retention for row in pair.rows if row.retention]
    counted = ", ".join(f"{verdicts.count(name)} {name}" for name in get_args(Retention))
    margins = sorted({row.margin for row in pair.rows if row.margin is not None})
    said = " and ".join(f"{margin:g}" for margin in margins)
    against = f" Against a margin of {said}: {counted}." if margins else ""
    found = policy_notes(comparison.first, pair) if isinstance(pair, PolicyPair) else []
    found += [
        f"Of {len(pair.rows)} measures {better} are better and {worse} worse.{against}",
        "Change: after minus before; in brackets the 95 % interval by weighting units (concepts, images, samples) at random, "
        "with one beside them that was not seen. For what is marked (less is better) a negative change is a gain.",
        "p: by swapping whole units between the runs, with Holm's correction over the rows that are not derived from others; "
        "difference: p below 0.05, and the interval leaves out 0.",
        "retained: the interval excludes a loss of the margin or more; degraded: any smaller one; undecided: neither.",
        "could show: the smallest margin against which a model that did not change would be retained in 80 % of evaluations.",
    ]
    if len(margins) > 1:
        found.append(
            f"The margin is {TEXT_MARGIN:g} where a model was asked in words alone, {MARGIN:g} elsewhere; "
            "--margin sets one for all rows."
        )
    if any(row.derived_from for row in pair.rows):
        found.append(
            "A gap, all images, and over-refusal where no answer is na are derived from other rows: Holm's correction does "
            "not count them, and their p is at least the least one of those rows."
        )
    without = [row for row in pair.rows if row.low is None]
    if few := sorted({row.unit for row in without if row.n_units < FEWEST}):
        found.append(f"No interval, and no verdict: fewer than five {' or '.join(f'{unit}s' for unit in few)}.")
    if alone := sorted({row.unit for row in without if row.n_units >= FEWEST}):
        found.append(f"No interval, and no verdict: a task or a category of a single {' or '.join(alone)}.")
    if any(row.kind == "judged" for row in pair.rows):
        found.append("na counts as wrong. A gap also closes when text accuracy is lost: see its rows.")
    if any(row.kind == "rated" for row in pair.rows):
        found.append(
            "Ratings are no shares: no margin applies to them. They are of the answers that both runs have rated."
        )
    if len(comparison.pairs) > 1:
        runs = len(comparison.pairs)
        found.append(f"{runs} runs are held against one: choosing the best of them needs a further correction.")
    return found + list(pair.notes)


# --- cells ------------------------------------------------------------------------------------------------------------


def _values(row: Row) -> tuple[Value, ...]:
    interval = "none"
    if row.low is not None and row.high is not None:
        interval = f"[{number(row.low, signed=True)}, {number(row.high, signed=True)}]"
    units = f"{row.n_units} {row.unit}s"
    return (
        f"{row.title}{'' if row.higher_is_better else ' (less is better)'}",
        row.before,
        row.after,
        (number(row.change, signed=True), interval),
        "" if row.gained is None else f"{row.gained} / {row.lost}",
        "<0.001" if row.p_holm < 0.001 else row.p_holm,
        row.difference,
        row.retention or "",
        "none" if row.smallest_difference is None else row.smallest_difference,
        units if row.n_samples == row.n_units else (f"{units},", f"{row.n_samples} answers"),
    )


# --- renderings -------------------------------------------------------------------------------------------------------


def print_tables(comparison: Comparison, console: Console) -> None:
    """Print for the terminal; where it is narrow, a cell's parts stand one below the other."""
    join = " " if console.width >= _WIDE else "\n"
    for pair in comparison.pairs:
        # Paths in it are there to be copied.
        print_lines([title(comparison, pair)], console, "bold", soft_wrap=True)
        for each in blocks(comparison, pair):
            shown = replace(each, header=tuple(name.replace(" ", join) for name in each.header))
            columns = range(len(each.header))
            print_lines([each.title] if each.title else [], console)
            console.print(rich_table(shown, join, (0, columns[-1]), columns, _STYLES), highlight=False)
            console.print()
            print_lines(shown.notes, console)
            console.print()


def markdown(comparison: Comparison, argv: Sequence[str]) -> str:
    """The tables as Markdown, with the command that made them."""
    parts: list[Block | str] = []
    for pair in comparison.pairs:
        # A run may hold both policies' answers in one file.
        files = "\n".join(
            f"- {markdown_code(file)}" for file in dict.fromkeys([*comparison.first.files, *pair.model.files])
        )
        parts += [
            f"# {markdown_text(title(comparison, pair))}",
            *blocks(comparison, pair),
            f"Results files:\n\n{files}",
        ]
    return markdown_document(argv, parts)


def latex(comparison: Comparison) -> str:
    """The tables for LaTeX, with the package booktabs; what is measured, the numbers, and the verdicts."""
    shown = (0, 1, 2, 3, 5, 6, 7)
    parts = []
    for pair in comparison.pairs:
        whole, *others = blocks(comparison, pair)
        rows = tuple(tuple(cells[at] for at in shown) for cells in whole.rows)
        parts.append(
            _latex(Block(title(comparison, pair), tuple(HEADER[at] for at in shown), rows, whole.notes), "l", "r")
        )
        parts += [_latex(each, "lll", "r") for each in others]
    return "\n\n".join(parts) + "\n"


def _latex(block: Block, left: str, right: str) -> str:
    columns = left + right * (len(block.header) - len(left))
    lines = latex_tabular(block, columns, plain="<>")
    # A comment ends with its line.
    title, *notes = (f"% {' '.join(said.splitlines())}" for said in (block.title, *block.notes))
    return "\n".join([title, *lines, *notes])


def as_csv(comparison: Comparison) -> str:
    """Every row of every pair with all its numbers, unrounded; a missing number is empty.

    Between two policies every concept has a row too, of the kind ``"concept"``, with columns of its own.
    """
    names = [field.name for field in fields(Row)]
    if any(isinstance(pair, PolicyPair) for pair in comparison.pairs):
        names += COLUMNS
    lines = []
    for pair in comparison.pairs:
        run = [comparison.first.folder, pair.model.folder, comparison.source]
        found = [vars(row) for row in pair.rows]
        found += concept_rows(pair) if isinstance(pair, PolicyPair) else ()
        lines += [[*run, *(values.get(name) for name in names)] for values in found]
    return csv_document(["before_run", "after_run", "source", *names], lines)
