"""Where tables are printed."""

import os
from typing import TYPE_CHECKING, Final

from harness_ext.report.cells import Block

if TYPE_CHECKING:
    from rich.console import Console

_BETWEEN: Final = 1


def console(piped_width: int, least_width: int = 0) -> "Console":
    """A console for tables.

    Args:
        piped_width: The width where output goes into a pipe, which has none of its own: Rich would cut lines at 80 columns.
        least_width: The width below which a table would lose cells; a narrower terminal breaks its lines instead.
    """
    from rich.console import Console

    found = Console()
    width = found.width if found.is_terminal or "COLUMNS" in os.environ else piped_width
    wanted = max(width, least_width)
    return found if wanted == found.width else Console(width=wanted)


def print_block(block: Block, console: "Console") -> None:
    """Print a titled table; where the console is too narrow for it, a cell's parts stand one below the other."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    lines = [block.header, *([" ".join(cell) for cell in row] for row in block.rows)]
    width = sum(max(map(len, column)) + _BETWEEN for column in zip(*lines, strict=True))
    join = " " if console.width >= width else "\n"
    console.print(f"\n{block.title}", highlight=False, markup=False)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _BETWEEN, 0, 0))
    for index, name in enumerate(block.header):
        table.add_column(name, justify="left" if index == 0 else "right", no_wrap=index > 0)
    for row in block.rows:
        # As text: a model's name in square brackets is no markup.
        table.add_row(*(Text(join.join(cell)) for cell in row))
    console.print(table, highlight=False)
