"""``align table FOLDER``: the table and the figure of a comparison.

FOLDER holds a folder for each method (original, sft, dpo, ppo, …), in which one evaluation of glyphworld lies, at any depth;
or folders named seed0, seed1, … that hold those.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from align.comparison import ORIGINAL, SKILLS, Evaluated, Figures, differences, evaluations, figures_of, strata
from align.crossed import CrossedEstimate
from align.quality import common_raters
from harness_ext.common.errors import UserError
from harness_ext.common.files import require_writable, write_text
from harness_ext.common.output import CommandParser
from harness_ext.report.blocks import Block, Cell, block_markdown, print_boxed
from harness_ext.report.figures import write_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOTE: Final = (
    "glyphworld, a stand-in and not the benchmark. Accuracy with `na` as wrong; [95 % interval over {over}; none over "
    "fewer than five concepts]; gap: text-only minus image accuracy on unsafe concepts."
)
STRATA_TITLE: Final = "Unsafe images, by the share of the same concept's that the original judged right (same seed)"
# Two panels, with what is written below each bar: the purpose of training, and the skills that it must keep.
_GAINED: Final = {
    "unsafe images": "unsafe\nimages",
    "unsafe images, concepts never trained on": "unsafe,\nnew concepts",
    "safe images": "safe\nimages",
    "safe images, concepts never trained on": "safe,\nnew concepts",
}
_KEPT: Final = {
    "perception": "perception",
    "text, unsafe": "text,\nunsafe",
    "text, safe": "text,\nsafe",
    **{skill: skill for skill in SKILLS},
}
# Colour-blind safe (Okabe and Ito, 2008), in an order that also differs in grey.
_COLOURS: Final = ("#999999", "#E69F00", "#56B4E9", "#D55E00", "#009E73", "#0072B2", "#CC79A7", "#000000")


def main(argv: Sequence[str]) -> int:
    """Read, print, and write what is asked for."""
    parser = parser_of("align table", __doc__, "it")
    parser.add_argument(
        "--against", nargs="+", default=[], metavar="METHOD", help="add what the others have more than this one"
    )
    options = parser.parse_args(argv)
    require_writable([options.markdown, options.json, options.figure])
    methods = evaluations(options.folder, options.methods, options.seeds)
    if unknown := [name for name in options.against if name not in methods]:
        raise UserError(f"--against: expected one of {', '.join(methods)}, found {', '.join(unknown)}")
    raters = common_raters(each.about_images for evaluated in methods.values() for each in evaluated)
    figures = {method: figures_of(evaluated, raters) for method, evaluated in methods.items()}
    against = {name: differences(methods, name) for name in options.against}
    note = note_of(methods)
    by_original = strata(methods) if ORIGINAL in methods else {}
    tables: dict[str, Mapping[str, Figures]] = {"": figures} | ({STRATA_TITLE: by_original} if by_original else {})
    tables |= {f"Difference to {name}, paired by concept": each for name, each in against.items()}
    blocks = [_block(title, table, note) for title, table in tables.items()]
    for block in blocks:
        print_boxed(block, Console())
    if options.markdown:
        write_text(options.markdown, "\n".join(map(_markdown, blocks)))
    if options.json:
        content = {
            "note": note,
            "methods": figures,
            "by what the original judged right": by_original,
            "against": against,
        }
        write_text(options.json, json.dumps(content, indent=1, default=asdict) + "\n")
    if options.figure:
        write_figure(lambda: draw(figures, note), options.figure)
    return 0


def parser_of(program: str, description: str, drawn: str) -> CommandParser:
    """The options of a command that reads the FOLDER of a comparison; ``drawn`` is what its figure shows."""
    parser = CommandParser(prog=program, description=description.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--methods", nargs="+", metavar="METHOD", help="only these, in this order")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="only the folders of these seeds")
    parser.add_argument("--markdown", type=Path, help="write the table to this file too")
    parser.add_argument("--json", type=Path, help="write all figures to this file too")
    parser.add_argument("--figure", type=Path, help=f"draw {drawn} into this PNG file, and an SVG beside it")
    return parser


def note_of(methods: Mapping[str, Sequence[Evaluated]]) -> str:
    """What stands below a table of ``methods``, each with as many seeds."""
    seeds = len(next(iter(methods.values())))
    return NOTE.format(over="concepts" if seeds == 1 else f"{seeds} seeds and concepts")


# --- as text, JSON and a picture ---------------------------------------------------------------------------------------


def _block(title: str, figures: Mapping[str, Figures], note: str) -> Block:
    """A row a figure and a column a method."""
    names = next(iter(figures.values()))
    rows = tuple(((name,), *(cell(each[name], name) for each in figures.values())) for name in names)
    return Block(title, ("", *figures), rows, (note,))


def cell(value: CrossedEstimate | float | None, name: str) -> Cell:
    """A figure with its interval and, over several seeds, with the least and the largest one."""
    if value is None:
        return ("–",)
    if isinstance(value, float):
        return (f"{value:.0f}" if name.startswith("CPU seconds") else f"{value:.3f}",)
    interval: Cell = (f"{value.value:.3f}",)
    if value.low is not None and value.high is not None:
        interval = *interval, f"[{value.low:.3f}, {value.high:.3f}]"
    return (*interval, f"({min(value.seeds):.3f}–{max(value.seeds):.3f})") if len(value.seeds) > 1 else interval


def _markdown(block: Block) -> str:
    heading = f"{block.title}\n\n" if block.title else ""
    seeds = any(len(cell) > 2 for cell in (row[1] for row in block.rows))
    said = " In parentheses the least and the largest seed." if seeds else ""
    return f"{heading}{block_markdown(block)}\n\n{block.notes[0]}{said}\n".replace("|  |", "| |", 1)


def draw(figures: Mapping[str, Figures], note: str) -> "Figure":
    """Every method's shares with their intervals: the gain on images, and the cost on everything else."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(13, 4.8), layout="constrained")
    axes = picture.subplots(1, 2, width_ratios=[len(_GAINED), len(_KEPT)], sharey=True)
    for axis, names, title in zip(axes, (_GAINED, _KEPT), ("Verdicts on images", "What must not be lost"), strict=True):
        for at, (method, of_one) in enumerate(figures.items()):
            shares = [value for name in names if isinstance(value := of_one[name], CrossedEstimate)]
            places = [place + (at - (len(figures) - 1) / 2) * 0.8 / len(figures) for place in range(len(names))]
            errors = [
                (0.0, 0.0) if each.low is None or each.high is None else (each.value - each.low, each.high - each.value)
                for each in shares
            ]
            axis.bar(
                places,
                [each.value for each in shares],
                0.8 / len(figures) * 0.92,
                yerr=list(zip(*errors, strict=True)),
                color=_COLOURS[at % len(_COLOURS)],
                label=method,
                error_kw={"linewidth": 0.8, "capsize": 2},
            )
        axis.set_xticks(range(len(names)), list(names.values()))
        axis.set_title(title, loc="left", fontsize=11)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", linewidth=0.4, alpha=0.5)
        axis.set_axisbelow(True)
    axes[0].set_ylim(0, 1.04)
    axes[0].set_ylabel("accuracy, `na` wrong")
    # Above both panels: of many methods it is wider than one of them.
    handles, labels = axes[0].get_legend_handles_labels()
    picture.legend(handles, labels, ncols=len(figures), loc="outside upper right", frameon=False, fontsize=9)
    picture.supxlabel(note, fontsize=7.5, color="#444444")
    return picture
