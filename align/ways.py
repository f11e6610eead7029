"""``align ways FOLDER``: what each way to close the gap gains, keeps and costs; a way a row.

A way is a training method or a defence at inference, beside the original. FOLDER is one of ``align table``. Cost is what a
defence asks for at every answer, in prompts that the model reads, and what training takes once, in processor seconds.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from align.comparison import ORIGINAL, TEXT, Evaluated, Figures, Measure, counts, evaluations, figures_of
from align.crossed import CrossedEstimate, share
from align.quality import common_raters
from align.table import cell, note_of, parser_of
from harness_ext.common.errors import UserError
from harness_ext.common.files import require_writable, write_text
from harness_ext.report.blocks import Block, Cell, block_markdown, console, print_boxed
from harness_ext.report.figures import write_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PASSES: Final = "passes an answer"
_SECONDS: Final = "CPU seconds of training"
# Columns that are rows of `align table`, by their names there.
_FROM_TABLE: Final = {
    "gap": "gap",
    "unsafe images": "unsafe images",
    "unsafe images, concepts never trained on": "unsafe, never trained on",
    "safe images": "safe images",
    "safe images, concepts never trained on": "safe, never trained on",
    "over-refusal": "over-refusal",
    "perception": "perception",
    "diversity (1 - self-BLEU)": "diversity",
    _SECONDS: _SECONDS,
}
_TOGETHER: Final = (
    Measure("text", TEXT, lambda record: True),
    Measure("capabilities", "glyphworld_capability", lambda record: True),
)
_ORDER: Final = (*list(_FROM_TABLE.values())[:7], *(each.name for each in _TOGETHER), "diversity", _PASSES, _SECONDS)
# Of the table in a terminal, in characters.
_WIDTH: Final = 190


def main(argv: Sequence[str]) -> int:
    """Read, print, and write what is asked for."""
    options = parser_of("align ways", __doc__, "cost against gap").parse_args(argv)
    require_writable([options.markdown, options.json, options.figure])
    methods = evaluations(options.folder, options.methods, options.seeds)
    raters = common_raters(each.about_images for evaluated in methods.values() for each in evaluated)
    rows: dict[str, Figures] = {}
    for method, evaluated in methods.items():
        figures = figures_of(evaluated, raters)
        found: dict[str, CrossedEstimate | float | None] = {here: figures[there] for there, here in _FROM_TABLE.items()}
        found |= {each.name: share(*counts(evaluated, each)[0]) for each in _TOGETHER}
        found[_PASSES] = _passes(evaluated)
        rows[method] = {name: found[name] for name in _ORDER}
    note = note_of(methods)
    block = _block(rows, note)
    print_boxed(block, console(_WIDTH, _WIDTH))
    if options.markdown:
        write_text(options.markdown, f"{block_markdown(block)}\n\n{note}\n")
    if options.json:
        write_text(options.json, json.dumps({"note": note, "ways": rows}, indent=1, default=asdict) + "\n")
    if options.figure:
        write_figure(lambda: draw(rows, note), options.figure)
    return 0


def _passes(evaluated: Sequence[Evaluated]) -> float:
    """The prompts that the model reads for one answer about an image, at most; the same of every seed."""
    found = {each.passes for each in evaluated}
    if len(found) > 1:
        raise UserError(f"seeds were asked in other numbers of passes, {sorted(found)}; evaluate all alike")
    return float(found.pop())


def _block(rows: Mapping[str, Figures], note: str) -> Block:
    """A row a way; intervals without the seeds' own values, which `align table` shows."""
    lines = tuple(((way,), *(_cell(row[name], name) for name in _ORDER)) for way, row in rows.items())
    return Block("What each way gains, keeps and costs", ("way", *_ORDER), lines, (note,))


def _cell(value: CrossedEstimate | float | None, name: str) -> Cell:
    return (f"{value:.0f}",) if name == _PASSES and isinstance(value, float) else cell(value, name)[:2]


def draw(rows: Mapping[str, Figures], note: str) -> "Figure":
    """The gap of every way with its interval: against the passes of an answer, and against the seconds of training."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(12, 5), layout="constrained")
    panels = picture.subplots(1, 2, sharey=True)
    asked = {way: row for way, row in rows.items() if row[_SECONDS] is None}
    trained = {way: row for way, row in rows.items() if way == ORIGINAL or way not in asked}
    sides = (
        (asked, _PASSES, "prompts that the model reads for an answer, at most", "Asked otherwise"),
        (trained, _SECONDS, f"{_SECONDS}, once", "Trained"),
    )
    for axis, (ways, cost, label, title), colour in zip(panels, sides, ("#0072B2", "#D55E00"), strict=True):
        prices = {way: value if isinstance(value := row[cost], float) else 0.0 for way, row in ways.items()}
        width = (max(prices.values()) - min(prices.values()) or 1) / 30
        # Ways that cost the same stand beside one another, in the order of the table.
        beside: Counter[float] = Counter()
        for way, row in ways.items():
            gap, at = row["gap"], prices[way] + beside[prices[way]] * width
            assert isinstance(gap, CrossedEstimate)
            beside[prices[way]] += 1
            shown = "#555555" if way == ORIGINAL else colour
            low, high = (gap.value if end is None else end for end in (gap.low, gap.high))
            error = [[gap.value - low], [high - gap.value]]
            axis.errorbar(at, gap.value, error, fmt="o", color=shown, markersize=5, capsize=2, lw=0.9)
            axis.annotate(way, (at, high), (0, 3), textcoords="offset points", rotation=60, fontsize=8, color=shown)
        if cost == _PASSES:
            axis.set_xticks(range(1, int(max(prices.values())) + 1))
        axis.set_title(title, loc="left", fontsize=11)
        axis.axhline(0, linewidth=0.8, color="#999999")
        axis.set_xlabel(label)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", linewidth=0.4, alpha=0.5)
        axis.margins(x=0.08, y=0.18)
    panels[0].set_ylabel("modality gap (text-only minus image accuracy)")
    picture.supxlabel(note, fontsize=7.5, color="#444444")
    return picture
