"""``align ways FOLDER``: what each way to close the gap gains, keeps and costs; a way a row.

A way is a training method or a defence at inference, beside the original. FOLDER is one of ``align table``. Cost is what a
defence asks for at every answer, in prompts that the model reads, and what training takes once, in processor seconds.
"""

import json
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
# Of the figure: the original, what is asked otherwise, what is trained.
_GREY: Final = "#555555"
_BLUE: Final = "#0072B2"
_ORANGE: Final = "#D55E00"


def main(argv: Sequence[str]) -> int:
    """Read, print, and write what is asked for."""
    options = parser_of("align ways", __doc__, "gap beside cost").parse_args(argv)
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
    """A line a way: its gap with interval and seeds, beside the prompts of an answer and the seconds of training."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(11, 1.6 + 0.3 * len(rows)), layout="constrained")
    of_gaps, *of_costs = picture.subplots(1, 3, sharey=True, width_ratios=(3, 1, 1))
    for line, (way, row) in enumerate(rows.items()):
        gap = row["gap"]
        assert isinstance(gap, CrossedEstimate)
        colour = _GREY if way == ORIGINAL else _BLUE if row[_SECONDS] is None else _ORANGE
        low, high = (gap.value if end is None else end for end in (gap.low, gap.high))
        error = [[gap.value - low], [high - gap.value]]
        of_gaps.errorbar(gap.value, line, xerr=error, fmt="o", color=colour, markersize=6, capsize=3, lw=1)
        if len(gap.seeds) > 1:
            of_gaps.plot(gap.seeds, [line] * len(gap.seeds), "|", color=colour, markersize=9)
        for axis, cost in zip(of_costs, (_PASSES, _SECONDS), strict=True):
            value = row[cost]
            if isinstance(value, float):
                axis.barh(line, value, color=colour, height=0.55)
                axis.annotate(
                    f"{value:.0f}", (value, line), (3, 0), textcoords="offset points", va="center", fontsize=8
                )
    of_gaps.set_yticks(range(len(rows)), rows)
    of_gaps.invert_yaxis()
    of_gaps.axvline(0, linewidth=0.8, color="#999999")
    of_gaps.set_xlabel("modality gap (text-only minus image accuracy); strokes: single seeds")
    of_costs[0].set_xlabel("prompts an answer,\nat most")
    of_costs[1].set_xlabel("CPU seconds of\ntraining, once")
    for axis in (of_gaps, *of_costs):
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="x", linewidth=0.4, alpha=0.5)
        axis.set_axisbelow(True)
    for axis in of_costs:
        axis.margins(x=0.2)
    picture.supxlabel(note, fontsize=7, color="#444444")
    return picture
