"""``align table FOLDER``: the table and the figure of a comparison.

FOLDER holds a folder for each method (original, sft, dpo, ppo, …), in which one evaluation of glyphworld lies, at any depth;
or folders named seed0, seed1, … that hold those.
"""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import track
from rich.table import Table

from align.table.crossed import Figure, difference, share
from align.table.measures import MEASURES, Evaluated, counts, gap_sides, read
from align.table.strata import ORIGINAL, TITLE, strata
from harness_ext.errors import UserError

Figures = Mapping[str, Figure | float | None]
_FIRST: Final = ("original", "sft", "dpo", "ppo", "grpo", "rloo")
NOTE: Final = (
    "glyphworld, a stand-in and not the benchmark. Accuracy with `na` as wrong; [95 % interval over {over}]; "
    "gap: text-only minus image accuracy on unsafe concepts."
)


def main(argv: Sequence[str]) -> int:
    """Read, print, and write what is asked for."""
    parser = argparse.ArgumentParser(prog="align table", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--methods", nargs="+", metavar="METHOD", help="only these, in this order")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="only the folders of these seeds")
    parser.add_argument(
        "--against", nargs="+", default=[], metavar="METHOD", help="add what the others have more than this one"
    )
    parser.add_argument("--markdown", type=Path, help="write the table to this file too")
    parser.add_argument("--json", type=Path, help="write all figures to this file too")
    parser.add_argument("--figure", type=Path, help="draw it into this PNG file, and an SVG beside it")
    options = parser.parse_args(argv)
    methods = evaluations(options.folder, options.methods, options.seeds)
    if unknown := [name for name in options.against if name not in methods]:
        raise UserError(f"--against: expected one of {', '.join(methods)}, found {', '.join(unknown)}")
    figures = {method: figures_of(evaluated) for method, evaluated in methods.items()}
    against = {name: differences(methods, name) for name in options.against}
    seeds = len(next(iter(methods.values())))
    note = NOTE.format(over="concepts" if seeds == 1 else f"{seeds} seeds and concepts")
    by_original = strata(methods) if ORIGINAL in methods else {}
    tables: dict[str, Mapping[str, Figures]] = {"": figures, TITLE: by_original} if by_original else {"": figures}
    tables |= {f"Difference to {name}, paired by concept": each for name, each in against.items()}
    for title, table in tables.items():
        _show(table, title, note)
    if options.markdown:
        texts = [(f"{title}\n\n" if title else "") + markdown(table, note) for title, table in tables.items()]
        options.markdown.write_text("\n".join(texts), encoding="utf-8")
    if options.json:
        content = {
            "note": note,
            "methods": _plain(figures),
            "by what the original judged right": _plain(by_original),
            "against": {name: _plain(table) for name, table in against.items()},
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if options.figure:
        from align.table.figure import draw
        from harness_ext.report.figure import write_figure

        write_figure(lambda: draw(figures, note), options.figure)
    return 0


def evaluations(
    folder: Path, methods: Sequence[str] | None = None, only: Sequence[int] | None = None
) -> dict[str, list[Evaluated]]:
    """The evaluations of every method, or of ``methods``, one a seed, or one of each seed in ``only``.

    Raises:
        UserError: There is nothing to compare, a seed lacks a method, or its methods were not trained from one model or not
            asked about the same rows.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected one of `make align-demo` or `make align-results`")
    there = sorted(each for each in folder.iterdir() if re.fullmatch(r"seed\d+", each.name))
    seeds = (there or [folder]) if only is None else [folder / f"seed{number}" for number in only]
    if missing := [seed.name for seed in seeds if not seed.is_dir()]:
        raise UserError(
            f"{folder}: no {', '.join(missing)}; there is {', '.join(each.name for each in there) or 'none'}"
        )
    names = {seed: _methods(seed) for seed in seeds}
    if methods is not None:
        names = {seed: [name for name in methods if name in found] for seed, found in names.items()}
    first = list(methods or names[seeds[0]])
    for seed, found in names.items():
        if found != first or not found:
            raise UserError(
                f"{seed}: expected evaluations of {', '.join(first) or 'methods'}, found {', '.join(found) or 'none'}"
            )
    paths = [(name, seed / name) for name in first for seed in seeds]
    read_ones: dict[str, list[Evaluated]] = {name: [] for name in first}
    for name, path in track(paths, "Reading", console=Console(stderr=True), transient=True):
        read_ones[name].append(read(path))
    for seed, alike in zip(seeds, zip(*read_ones.values(), strict=True), strict=True):
        _require_alike(seed, dict(zip(first, alike, strict=True)))
    return read_ones


def _require_alike(seed: Path, methods: Mapping[str, Evaluated]) -> None:
    first, *others = methods
    base, asked = methods[first].base, methods[first].asked
    for name in others:
        if methods[name].base != base:
            raise UserError(
                f"{seed}: {first} and {name} are of different models ({base} and {methods[name].base}): one is of another run"
            )
        found = methods[name].asked
        if differing := [measure.task for measure in MEASURES if asked[measure.task] != found[measure.task]]:
            raise UserError(
                f"{seed}: {first} and {name} were not asked the same questions of {differing[0]}; evaluate both alike"
            )


def _methods(folder: Path) -> list[str]:
    found = [each.name for each in folder.iterdir() if each.is_dir() and next(each.rglob("*_results.json"), None)]
    return sorted(found, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))


def figures_of(evaluated: Sequence[Evaluated]) -> Figures:
    """A method's figures, by their headings."""
    figures: dict[str, Figure | float | None] = {
        measure.name: share(*counts(measure, evaluated)) for measure in MEASURES
    }
    figures["gap"] = difference(*gap_sides(evaluated, seen=None))
    figures["gap, concepts never trained on"] = difference(*gap_sides(evaluated, seen=False))
    figures["diversity (1 - self-BLEU)"] = sum(each.diversity for each in evaluated) / len(evaluated)
    seconds = [each.seconds for each in evaluated if each.seconds is not None]
    figures["CPU seconds of training"] = sum(seconds) / len(seconds) if seconds else None
    return figures


def differences(methods: Mapping[str, Sequence[Evaluated]], to: str) -> dict[str, Figures]:
    """By method, its figures less those of the method ``to`` on the same concepts."""
    bases = {measure.name: counts(measure, methods[to]) for measure in MEASURES}
    return {
        method: {measure.name: difference(counts(measure, each), bases[measure.name]) for measure in MEASURES}
        for method, each in methods.items()
        if method != to
    }


def cell(value: Figure | float | None, name: str) -> str:
    """A figure as text: with its interval, and over several seeds with the least and the largest one."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.0f}" if name.startswith("CPU seconds") else f"{value:.3f}"
    text = f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"
    return f"{text} ({min(value.seeds):.3f}–{max(value.seeds):.3f})" if len(value.seeds) > 1 else text


def markdown(figures: Mapping[str, Figures], note: str) -> str:
    """The table, a row a figure and a column a method."""
    names = list(next(iter(figures.values())))
    lines = ["| | " + " | ".join(figures) + " |", "| --- |" + " ---: |" * len(figures)]
    lines += [f"| {name} | " + " | ".join(cell(each[name], name) for each in figures.values()) + " |" for name in names]
    seeds = any(isinstance(value, Figure) and len(value.seeds) > 1 for value in next(iter(figures.values())).values())
    return "\n".join([*lines, "", note + (" In parentheses the least and the largest seed." if seeds else "")]) + "\n"


def _show(figures: Mapping[str, Figures], title: str, note: str) -> None:
    table = Table("", *figures, title=title or None, caption=note)
    for name in next(iter(figures.values())):
        table.add_row(name, *(cell(each[name], name) for each in figures.values()))
    Console().print(table)


def _plain(table: Mapping[str, Figures]) -> dict[str, dict[str, Any]]:
    return {
        method: {name: asdict(value) if isinstance(value, Figure) else value for name, value in figures.items()}
        for method, figures in table.items()
    }
