"""How a table of cells is set, whether as HTML or as LaTeX."""

import re
from typing import Final

from harness_ext.report.cells import Block

_NUMBER: Final = re.compile(r"<?[+-]?\d[\d,.]*( / \d+)?|none|not asked|not defined|")
_SHORT: Final = 14


def numeric_columns(block: Block) -> list[bool]:
    """Which columns hold numbers, and are set flush right."""
    return [
        at > 0 and all(_NUMBER.fullmatch(row[at][0]) for row in block.rows) and any(row[at][0] for row in block.rows)
        for at in range(len(block.header))
    ]


def spans(block: Block) -> list[int]:
    """For each row how many rows its first cell covers: equal first cells stand once, and the rows below them get 0."""
    found: list[int] = []
    for at, row in enumerate(block.rows):
        if at and row[0] == block.rows[at - 1][0]:
            found.append(0)
        else:
            same = 1
            while at + same < len(block.rows) and block.rows[at + same][0] == row[0]:
                same += 1
            found.append(same)
    return found


def whole_columns(block: Block) -> list[bool]:
    """Which columns beside the first hold, heading included, parts that are too short to be broken between words."""
    columns = zip(((name,) for name in block.header), *block.rows, strict=True)
    return [
        at > 0 and all(len(part) <= _SHORT for cell in column for part in cell) for at, column in enumerate(columns)
    ]


def short_columns(block: Block) -> list[bool]:
    """Which columns beside the first hold, heading included, words that are too short to be broken."""
    columns = zip(((name,) for name in block.header), *block.rows, strict=True)
    return [
        at > 0 and all(len(word) <= _SHORT for cell in column for word in " ".join(cell).split())
        for at, column in enumerate(columns)
    ]
