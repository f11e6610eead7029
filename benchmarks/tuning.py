"""What was tried on development renders, and which setting of each method one rule chooses.

    python benchmarks/tuning.py results/align/tuning [--original FILE.json] [--markdown PATH] [--json PATH]

The folder holds what ``unsafeconcepts glyphworld evaluate --development --json`` wrote of every setting, METHOD-SETTING.json,
and original.json of the model before any training. The rule is the same for every method: of the settings that keep
perception, text and every capability within a point of the original, the one with the highest mean of the four accuracies on
images (unsafe and safe ones, of all concepts and of those never trained on). Where no setting keeps them, none is chosen.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from harness_ext.common.errors import UserError, exit_status
from harness_ext.report.blocks import markdown_table

Figures = Mapping[str, float]
_IMAGES: Final = {
    "image_unsafe": "unsafe images, all",
    "image_unsafe_never_seen": "unsafe, never trained on",
    "image_safe": "safe images, all",
    "image_safe_never_seen": "safe, never trained on",
}
_KEPT: Final = {
    "perception": "perception",
    "text_unsafe": "text, unsafe",
    "text_safe": "text, safe",
    "color": "colour",
    "count": "count",
    "position": "position",
}
# Accuracies are of whole numbers of answers: only rounding of the sums is allowed for.
MOST_LOST: Final = 0.01 + 1e-9
_NOTE: Final = (
    "glyphworld, a stand-in and not the benchmark; seed {seed}, development renders. Images are of all concepts, or of those "
    "never trained on. Chosen, by one rule for every method: of the settings that keep perception, text and capabilities "
    "within a point of the original (kept), the one with the highest mean of the four accuracies on images."
)


def read(folder: Path, original: Path | None = None) -> dict[str, Figures]:
    """The figures of the original, and of every setting below ``folder`` by its name.

    Raises:
        UserError: There is no original, no setting, or a figure lacks or is of something else.
    """
    first = original or folder / "original.json"
    files = [first, *sorted(each for each in folder.glob("*-*.json"))]
    if len(files) == 1:
        raise UserError(f"{folder}: expected METHOD-SETTING.json files, found none")
    found: dict[str, Figures] = {}
    about = set()
    for file in files:
        if not file.is_file():
            raise UserError(
                f"{file}: missing; write it by unsafeconcepts glyphworld evaluate --development --json {file}"
            )
        figures = json.loads(file.read_text(encoding="utf-8"))
        if lacking := [name for name in ("seed", "renders", "of", *_IMAGES, *_KEPT) if name not in figures]:
            raise UserError(f"{file}: expected the figures of an evaluation, found no {', '.join(lacking)}")
        about.add((figures["seed"], figures["renders"], figures["of"]))
        found["original" if file == first else file.stem] = figures
    if len(about) > 1 or next(iter(about))[2] != "development":
        raise UserError(f"{folder}: expected one seed's figures on development renders, found {sorted(about)}")
    return found


def kept(figures: Figures, original: Figures) -> bool:
    """Whether nothing that must not be lost was lost by more than a point."""
    return all(original[name] - figures[name] <= MOST_LOST for name in _KEPT)


def chosen(found: Mapping[str, Figures]) -> dict[str, str | None]:
    """By method, the setting that the rule chooses, or None where it keeps none."""
    methods = dict.fromkeys(name.split("-")[0] for name in found if name != "original")
    return {method: _best(method, found) for method in methods}


def _best(method: str, found: Mapping[str, Figures]) -> str | None:
    fit = [name for name in found if name.startswith(f"{method}-") and kept(found[name], found["original"])]
    return max(fit, key=lambda name: mean(found[name]), default=None)


def mean(figures: Figures) -> float:
    """The mean of the four accuracies on images."""
    return sum(figures[name] for name in _IMAGES) / len(_IMAGES)


def cells(found: Mapping[str, Figures]) -> tuple[list[str], list[list[str]]]:
    """A header and rows: the original first, then the settings by method, the best images last."""
    picked = set(chosen(found).values())
    header = ["setting", *_IMAGES.values(), "their mean", *_KEPT.values(), "kept"]
    rows = []
    for name in sorted(found, key=lambda each: (each != "original", each.split("-")[0], mean(found[each]))):
        figures = found[name]
        said = "" if name == "original" else "yes" if kept(figures, found["original"]) else "no"
        numbers = [*(figures[each] for each in _IMAGES), mean(figures), *(figures[each] for each in _KEPT)]
        title = f"**{name}** (chosen)" if name in picked else name
        rows.append([title, *(f"{number:.3f}" for number in numbers), said])
    return header, rows


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table and what is chosen, and write both if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--original", type=Path, metavar="FILE.json", help="default: FOLDER/original.json")
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    return exit_status("tuning.py", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    found = read(options.folder, options.original)
    header, rows = cells(found)
    note = _NOTE.format(seed=found["original"]["seed"])
    table = Table(*header, caption=note)
    for row in rows:
        table.add_row(*(cell.replace("*", "") for cell in row))
    Console(width=200).print(table)
    if options.markdown:
        options.markdown.write_text(f"{markdown_table(header, rows)}\n\n{note}\n", encoding="utf-8")
    if options.json:
        options.json.write_text(json.dumps({"chosen": chosen(found)}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
