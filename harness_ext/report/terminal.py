"""Where tables are printed."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


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
