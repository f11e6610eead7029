"""The section of differences: every folder held against the first one, as `unsafeconcepts compare` does it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness_ext.common.errors import UserError
from harness_ext.report.compare import compare
from harness_ext.report.compare.tables import block, notes
from harness_ext.report.page.parts import Notes, Part
from harness_ext.report.page.runs import Shown


def comparison_parts(runs: Sequence[Shown], margin: float) -> Iterator[Part]:
    """A table for each folder after the first one, of all that both hold about the runs' source.

    Where two cannot be compared, a note says why: the rest of the page shows each of them by itself.
    """
    keys: dict[Path, list[str]] = {}
    for shown in runs:
        keys.setdefault(shown.folder, []).append(shown.key)
    first, *others = keys
    for other in others:
        title = f"{', '.join(keys[other])} against {', '.join(keys[first])}"
        try:
            comparison = compare([first, other], margin, [f"{runs[0].run.source}_*"])
        except UserError as refused:
            yield Notes((f"{title}: not compared. {refused}",))
        else:
            (pair,) = comparison.pairs
            yield replace(block(pair), title=title)
            yield Notes(tuple(notes(comparison, pair)))
