"""``python -m harness_ext.glyphworld``: build the model, check its figures, draw the contact sheet.

build     train and cache the model of a seed, and print its folder (prints it at once where it is cached already)
evaluate  the figures of a seed's model, or of an adapter of it, as a table, and with ``--json`` as a file: on the test
          renders, or, to choose settings by, on the development renders
sheet     one picture of all concepts with their names
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness_ext.common.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and run one of the three commands."""
    parser = argparse.ArgumentParser(prog="python -m harness_ext.glyphworld", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="train and cache the model of a seed")
    build.add_argument("--seed", type=int, default=0)
    build.add_argument("--force", action="store_true", help="build anew even if it is cached")
    check = commands.add_parser("evaluate", help="the figures of a seed's model, or of an adapter of it")
    check.add_argument("--seed", type=int, default=0)
    check.add_argument("--adapter", type=Path, help="a PEFT folder to put on it, such as OUTPUT_DIR/final of `align`")
    check.add_argument("--renders", type=int, default=10, help="renders of each concept")
    check.add_argument("--development", action="store_true", help="on development renders, not those that are reported")
    check.add_argument("--json", type=Path, help="write the figures to this file too")
    sheet = commands.add_parser("sheet", help="one picture of all concepts with their names")
    sheet.add_argument("out", type=Path)
    arguments = parser.parse_args(argv)
    match arguments.command:
        case "build":
            _build(arguments.seed, arguments.force)
        case "evaluate":
            _evaluate(arguments.seed, arguments.adapter, arguments.renders, arguments.development, arguments.json)
        case "sheet":
            from harness_ext.glyphworld.sheet import write_sheet

            write_sheet(arguments.out)
    return 0


def _build(seed: int, force: bool) -> None:
    from harness_ext.glyphworld.build import ensure_model, remove_model

    if force:
        remove_model(seed)
    print(ensure_model(seed))


def _evaluate(seed: int, adapter: Path | None, renders: int, development: bool, out: Path | None) -> None:
    import torch

    from harness_ext.common.files import require_writable, write_text
    from harness_ext.glyphworld.build import ensure_model
    from harness_ext.glyphworld.evaluate import Checkpoint, evaluate
    from harness_ext.glyphworld.render import DEVELOPMENT_SEEDS, TEST_SEEDS

    require_writable([out])
    torch.set_num_threads(1)
    kind, seeds = ("development", DEVELOPMENT_SEEDS) if development else ("test", TEST_SEEDS)
    if not 1 <= renders <= len(seeds):
        raise UserError(f"--renders: expected 1 to {len(seeds)}, found {renders}")
    figures = evaluate(Checkpoint(ensure_model(seed), adapter=adapter), seeds[:renders])
    if out is not None:
        about = {"seed": seed, "adapter": adapter and str(adapter), "renders": renders, "of": kind}
        write_text(out, json.dumps({**about, **figures}, indent=2) + "\n")
    name = f"glyphworld's model{f' with {adapter}' if adapter else ''}"
    table = Table("figure", f"seed {seed}", title=f"{name} on {renders} {kind} renders a concept")
    for name, value in figures.items():
        rows = value.items() if isinstance(value, Mapping) else [("", value)]
        for part, number in rows:
            table.add_row(f"{name} {part}".strip(), f"{number:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
