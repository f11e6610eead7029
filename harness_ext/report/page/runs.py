"""What a page is about: the runs of the folders that were given, by source, in the order in which they were given.

The two sources never share a table: each has a chapter of its own, with its own lettering of the runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Final

from harness_ext.benchmark import SOURCES
from harness_ext.common.errors import UserError
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
        role: ``"before"`` or ``"after"`` where several folders hold runs of its source, by whether it lies in the first one;
            else empty.
        folder: The folder that was given.
        run: Its answers.
        summary: Its numbers.
    """

    key: str
    role: str
    folder: Path
    run: Run
    summary: Summary

    @property
    def name(self) -> str:
        """The letter, and what it stands for where there is a before and an after."""
        return f"{self.key}, {self.role}" if self.role else self.key


@dataclass(frozen=True)
class Chapter:
    """All that is about one source.

    Attributes:
        source: ``"unsafeconcepts"`` or ``"glyphworld"``.
        shown: The evaluated runs; none where there are only trainings.
        trainings: The training runs on data of this source.
    """

    source: str
    shown: tuple[Shown, ...]
    trainings: tuple[Training, ...]


def read_chapters(folders: Sequence[Path]) -> list[Chapter]:
    """Read evaluations and trainings below the folders.

    Raises:
        UserError: Naming the folder or file: nothing is found, what is found is incomplete or of another version, a folder is
            given twice or lies in another one, or there are more runs of a source than a page can tell apart.
    """
    _refuse_nested(folders)
    trainings = {folder: read_trainings(folder) for folder in folders}
    runs = [(folder, run) for folder in folders for run in _runs(folder, has_training=bool(trainings[folder]))]
    chapters = []
    for source in SOURCES:
        of_source = [(folder, run) for folder, run in runs if run.source == source]
        evaluated = list(dict.fromkeys(folder for folder, _ in of_source))
        if len(of_source) > _MOST:
            raise UserError(f"a page tells at most {_MOST} runs of a source apart, found {len(of_source)} of {source}")
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


def _runs(folder: Path, has_training: bool) -> list[Run]:
    if has_training and not any(folder.rglob("*_results.json")):
        return []
    return load_runs(folder)


def _refuse_nested(folders: Sequence[Path]) -> None:
    resolved = [folder.resolve() for folder in folders]
    for at, one in enumerate(resolved):
        for other in resolved[:at]:
            if one == other or one in other.parents or other in one.parents:
                raise UserError(
                    f"{folders[at]}: given twice, or one of the folders lies in another: its runs would be shown twice"
                )
