"""What of a run is judged again, and what keeps its judge, with the reason."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness_ext.benchmark import SOURCES
from harness_ext.common.errors import UserError
from harness_ext.report.results import ResultsFile, newest_first, results_files
from harness_ext.report.samples import NotWhole, read_samples
from harness_ext.report.scores import manner

_BY_LIKELIHOOD: Final = "asked by likelihood: there is no text to judge"
_EXACT: Final = "one of a few words, read by exact match"
_OTHERS: Final = "not of this project's probes"
_UNJUDGED: Final = "holds no judged answers"


@dataclass(frozen=True)
class Task:
    """One task of an evaluation.

    Attributes:
        name: Its name.
        samples: The file of its sample rows.
        source: ``"unsafeconcepts"`` or ``"glyphworld"``; empty for another benchmark's.
        rows: How many rows it has.
        kept: Why it keeps its judge; ``None`` where it is judged again.
    """

    name: str
    samples: Path
    source: str
    rows: int
    kept: str | None


@dataclass(frozen=True)
class Evaluation:
    """One results file and its tasks."""

    file: ResultsFile
    tasks: tuple[Task, ...]

    @property
    def judged(self) -> list[Task]:
        """The tasks that are judged again."""
        return [task for task in self.tasks if task.kept is None]


def plan(run: Path) -> list[Evaluation]:
    """Look through the evaluations of lmms-eval below ``run``; all samples of this project's tasks are checked.

    One that was cut off while it was saved is left out where newer whole ones of the same model asked what it asked: as in
    a table, they are what is shown of it.

    Raises:
        UserError: Naming the folder or file: nothing is there to judge, or what is there is incomplete or of another version.
    """
    if not run.is_dir():
        raise UserError(f"{run}: no such folder. Expected the --output_path of an evaluation with --log_samples.")
    evaluations: list[Evaluation] = []
    for file in newest_first(results_files(run)):
        try:
            evaluations.append(Evaluation(file, tuple(_task(file, name) for name in file.content["n-samples"])))
        except NotWhole:
            newer = [other.file.asked for other in evaluations if other.file.names == file.names]
            if not file.asked <= set().union(*newer):
                raise
    evaluations.sort(key=lambda evaluation: evaluation.file.path)
    if not any(evaluation.judged for evaluation in evaluations):
        kept = [f"{task.name} ({task.kept})" for evaluation in evaluations for task in evaluation.tasks]
        raise UserError(f"{run}: nothing to judge again: {'; '.join(kept) or 'no task in it'}")
    return evaluations


def _task(file: ResultsFile, name: str) -> Task:
    path, rows = file.samples(name), file.rows(name)
    source = next((each for each in SOURCES if name.startswith(f"{each}_")), "")
    if not source:
        return Task(name, path, source, rows, _OTHERS)
    if not path.is_file():
        raise NotWhole(f"{path}: missing. The run was cut off, or it was run without --log_samples: run it again.")
    if manner(name) == "likelihood":
        return Task(name, path, source, rows, _BY_LIKELIHOOD)
    records = read_samples(path, source, "generated", rows)
    probes = {record.probe for record in records}
    if "capability" in probes and len(probes) > 1:
        raise UserError(f"{path}: expected one probe, found {', '.join(sorted(probes))}. Evaluate it again.")
    kept = _UNJUDGED if not records else _EXACT if "capability" in probes else None
    return Task(name, path, source, rows, kept)
