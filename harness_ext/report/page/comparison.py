"""The place of a statistical comparison on the page: ready rows in, a table out; whoever compares decides what they say."""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Final

from harness_ext.report.cells import Block
from harness_ext.report.page.runs import Shown

_HEADER: Final = ("what", "before", "after", "difference", "95 % interval", "p", "verdict")


@dataclass(frozen=True)
class ComparedRow:
    """One line of a comparison, written out.

    Attributes:
        heading: What is compared, as in "Image alignment, unsafe".
        before: The value of the first run.
        after: The value of the other one.
        difference: The second minus the first, with its sign.
        interval: Of the difference.
        p: The test's p-value.
        verdict: What follows, as in "higher" or "not inferior (margin 0.02)".
    """

    heading: str
    before: str
    after: str
    difference: str
    interval: str
    p: str
    verdict: str


# Gets the run before and a run after; no rows where there is nothing to compare.
Compare = Callable[[Shown, Shown], Sequence[ComparedRow]]


def comparison_blocks(runs: Sequence[Shown], compare: Compare | None) -> list[Block]:
    """A table for every run beside the first one; none without ``compare``, or where it has no rows."""
    if compare is None:
        return []
    blocks = []
    for after in runs[1:]:
        if rows := compare(runs[0], after):
            cells = tuple(tuple((cell,) for cell in astuple(row)) for row in rows)
            blocks.append(Block(f"{after.key} against {runs[0].key}", _HEADER, cells))
    return blocks
