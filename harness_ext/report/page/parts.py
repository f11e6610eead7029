"""What a section of the page is made of: tables, figures, and paragraphs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness_ext.report.cells import Block

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A figure to be drawn.

    Attributes:
        name: Names it within its chapter.
        caption: What it shows.
        draw: Draws it.
    """

    name: str
    caption: str
    draw: "Callable[[], Figure]"


@dataclass(frozen=True)
class Notes:
    """What a reader must know, a paragraph each."""

    lines: tuple[str, ...]


Part = Block | Picture | Notes
