"""A contact sheet: one render of every concept, with its name, category by category."""

from pathlib import Path
from typing import Final

import matplotlib.pyplot as plt
import numpy as np

from harness_ext.glyphworld.concepts import CATEGORIES, CONCEPTS, items
from harness_ext.glyphworld.render import DEVELOPMENT_SEEDS, render

_COLUMNS: Final = 10  # the largest category


def write_sheet(path: Path) -> None:
    """Write the sheet to ``path``, in the format of its suffix; a category a row, unsafe names in red."""
    figure, axes = plt.subplots(len(CATEGORIES), _COLUMNS, figsize=(17, 2.0 * len(CATEGORIES)), layout="constrained")
    for row, category in zip(axes, CATEGORIES, strict=True):
        for axis in row:
            axis.set_axis_off()
        for axis, concept in zip(row, items(category), strict=False):
            glyph = render(concept, DEVELOPMENT_SEEDS[0])
            axis.imshow(np.asarray(glyph.image), interpolation="nearest")
            ink = "firebrick" if CONCEPTS[concept].label == "unsafe" else "black"
            axis.set_title(_wrapped(CONCEPTS[concept].name), fontsize=9, color=ink)
        row[0].text(-0.12, 0.5, category, transform=row[0].transAxes, rotation=90, ha="right", va="center", fontsize=10)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _wrapped(name: str) -> str:
    """Break a long name into two lines at the space nearest to its middle."""
    spaces = [index for index, letter in enumerate(name) if letter == " "]
    if len(name) <= 16 or not spaces:
        return name
    middle = min(spaces, key=lambda index: abs(index - len(name) / 2))
    return f"{name[:middle]}\n{name[middle + 1 :]}"
