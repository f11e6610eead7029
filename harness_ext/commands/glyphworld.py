"""``unsafeconcepts glyphworld``: build the model, check its figures, draw the contact sheet."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from rich.console import Console

from harness_ext.common.errors import UserError
from harness_ext.common.files import require_writable, write_text
from harness_ext.common.output import CommandParser, say
from harness_ext.glyphworld.build import ensure_model, remove_model
from harness_ext.glyphworld.concepts import CATEGORIES, CONCEPTS, items
from harness_ext.glyphworld.figures import Checkpoint, evaluate
from harness_ext.glyphworld.render import DEVELOPMENT_SEEDS, TEST_SEEDS, render
from harness_ext.models.loading import load_model, load_processor
from harness_ext.records import UNSAFE
from harness_ext.report.blocks import make_block, print_boxed

_COLUMNS: Final = 10  # of the sheet: the concepts of the largest category


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and run one of the three commands."""
    parser = CommandParser(prog="unsafeconcepts glyphworld", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, dest="command")
    build = commands.add_parser("build", help="train and cache the model of a seed")
    build.add_argument("--seed", type=int, default=0)
    build.add_argument("--force", action="store_true", help="build anew even if it is cached")
    build.set_defaults(run=_build)
    check = commands.add_parser("evaluate", help="the figures of a seed's model, or of an adapter of it")
    check.add_argument("--seed", type=int, default=0)
    check.add_argument("--adapter", type=Path, help="a PEFT folder to put on it, such as OUTPUT_DIR/final of `align`")
    check.add_argument("--renders", type=int, default=10, help="renders of each concept")
    check.add_argument("--development", action="store_true", help="on development renders, not those that are reported")
    check.add_argument("--json", type=Path, help="write the figures to this file too")
    check.set_defaults(run=_evaluate)
    sheet = commands.add_parser("sheet", help="one picture of all concepts with their names")
    sheet.add_argument("out", type=Path)
    sheet.set_defaults(run=_draw_sheet)
    options = parser.parse_args(argv)
    options.run(options)
    return 0


def _build(options: argparse.Namespace) -> None:
    if options.force:
        remove_model(options.seed)
    say(ensure_model(options.seed))


def _evaluate(options: argparse.Namespace) -> None:
    require_writable([options.json])
    kind, seeds = ("development", DEVELOPMENT_SEEDS) if options.development else ("test", TEST_SEEDS)
    if not 1 <= options.renders <= len(seeds):
        raise UserError(f"--renders: expected 1 to {len(seeds)}, found {options.renders}")
    torch.set_num_threads(1)
    seed, adapter, renders = options.seed, options.adapter, options.renders
    figures = evaluate(load_checkpoint(ensure_model(seed), adapter), seeds[:renders])
    if options.json is not None:
        about = {"seed": seed, "adapter": adapter and str(adapter), "renders": renders, "of": kind}
        write_text(options.json, json.dumps({**about, **figures}, indent=2) + "\n")
    name = f"glyphworld's model{f' with {adapter}' if adapter else ''}"
    rows = [
        (f"{measure} {part}".strip(), number)
        for measure, value in figures.items()
        for part, number in (value.items() if isinstance(value, Mapping) else [("", value)])
    ]
    title = f"{name} on {renders} {kind} renders a concept"
    print_boxed(make_block(title, ("figure", f"seed {seed}"), rows), Console())


def load_checkpoint(path: Path, adapter: Path | None = None) -> Checkpoint:
    """A saved checkpoint, with a PEFT adapter if one is given; in float32, on the CPU."""
    model = load_model(
        str(path), revision=None, adapter=None if adapter is None else str(adapter), dtype="float32", device="cpu"
    )
    return Checkpoint(load_processor(str(path), None, False), model)


def _draw_sheet(options: argparse.Namespace) -> None:
    """Draw one render of every concept with its name, a category a row, unsafe names in red."""
    import matplotlib.pyplot as plt
    import numpy as np

    figure, axes = plt.subplots(len(CATEGORIES), _COLUMNS, figsize=(17, 2.0 * len(CATEGORIES)), layout="constrained")
    for row, category in zip(axes, CATEGORIES, strict=True):
        for axis in row:
            axis.set_axis_off()
        for axis, concept in zip(row, items(category), strict=False):
            axis.imshow(np.asarray(render(concept, DEVELOPMENT_SEEDS[0]).image), interpolation="nearest")
            ink = "firebrick" if CONCEPTS[concept].label == UNSAFE else "black"
            axis.set_title(_wrapped(CONCEPTS[concept].name), fontsize=9, color=ink)
        row[0].text(-0.12, 0.5, category, transform=row[0].transAxes, rotation=90, ha="right", va="center", fontsize=10)
    figure.savefig(options.out, dpi=90)


def _wrapped(name: str) -> str:
    """Break a long name into two lines at the space nearest to its middle."""
    spaces = [index for index, letter in enumerate(name) if letter == " "]
    if len(name) <= 16 or not spaces:
        return name
    middle = min(spaces, key=lambda index: abs(index - len(name) / 2))
    return f"{name[:middle]}\n{name[middle + 1 :]}"
