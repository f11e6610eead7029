"""What a page is about: the evaluations and trainings below the given folders, in the order of the folders.

Two benchmarks never share a table: each has a chapter of its own, with its own lettering of the runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from string import ascii_uppercase
from typing import Final

from harness_ext.common.errors import UserError
from harness_ext.registry import benchmarks
from harness_ext.report.page.training import Training, read_trainings
from harness_ext.report.scores import Summary
from harness_ext.report.summary import summarise
from harness_ext.runs.load import Run, load_runs

_MOST: Final = 8


@dataclass(frozen=True)
class Shown:
    """A run as a chapter shows it.

    Attributes:
        key: A letter that names it within its chapter.
        role: ``"before"`` for the runs of the first of several folders, ``"after"`` for the others; else empty.
    """

    key: str
    role: str
    folder: Path
    run: Run
    summary: Summary

    @property
    def name(self) -> str:
        """The letter, and the role where there is one."""
        return f"{self.key}, {self.role}" if self.role else self.key


@dataclass(frozen=True)
class Chapter:
    """Everything about one source; ``shown`` is empty where there are only trainings on its data."""

    source: str
    shown: tuple[Shown, ...]
    trainings: tuple[Training, ...]


def read_chapters(folders: Sequence[Path]) -> list[Chapter]:
    """Read evaluations and trainings below the folders.

    Raises:
        UserError: Naming the folder or file: nothing is found, what is found is incomplete or of another version, a folder is
            given twice or lies in another one, or there are more runs of a source than a page can tell apart.
    """
    for one, other in combinations([folder.resolve() for folder in folders], 2):
        if one.is_relative_to(other) or other.is_relative_to(one):
            raise UserError(f"{other}: given twice, or inside another folder: its runs would be shown twice")
    trainings = {folder: read_trainings(folder) for folder in folders}
    runs = [
        (folder, run)
        for folder in folders
        # A folder of training alone holds no evaluation, which load_runs would refuse.
        if not trainings[folder] or any(folder.rglob("*_results.json"))
        for run in load_runs(folder)
    ]
    chapters = []
    for source in benchmarks():
        of_source = [(folder, run) for folder, run in runs if run.source == source]
        if len(of_source) > _MOST:
            raise UserError(f"a page tells at most {_MOST} runs of a source apart, found {len(of_source)} of {source}")
        evaluated = list(dict.fromkeys(folder for folder, _ in of_source))
        shown = tuple(
            Shown(
                key=key,
                role="" if len(evaluated) == 1 else "before" if folder == evaluated[0] else "after",
                folder=folder,
                run=run,
                summary=summarise(run.answers, run.likelihood),
            )
            for key, (folder, run) in zip(ascii_uppercase, of_source, strict=False)
        )
        trained = tuple(each for folder in folders for each in trainings[folder] if each.source == source)
        if shown or trained:
            chapters.append(Chapter(source, shown, trained))
    return chapters
