"""The same answers as several judges read them: from runs that were judged differently, or one run by judges of choice."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from harness_ext.benchmark import SOURCES
from harness_ext.common.errors import UserError
from harness_ext.judges.base import Answer, verdicts
from harness_ext.judges.registry import JudgeSpec
from harness_ext.metrics.records import Judgement
from harness_ext.rejudge.saved import Saved, read_saved
from harness_ext.report.compare.evaluations import RunFolder, open_run
from harness_ext.report.scores import manner

# Task, row and question: what names an answer of a run.
Key = tuple[str, int, int]
Run = Mapping[Key, Saved]
_SHORT: Final = 60


@dataclass(frozen=True)
class Reader:
    """One judge's reading of the answers.

    Attributes:
        name: The judge's name and version; with the run's folder where two readers would have the same name.
        records: Each answer as it read it.
    """

    name: str
    records: Mapping[Key, Judgement]


@dataclass(frozen=True)
class Readings:
    """Answers, and all readers' readings of them.

    Attributes:
        source: ``"unsafeconcepts"`` or ``"glyphworld"``.
        answers: The answers that the model gave.
        readers: Who read them; at least one.
        notes: What was left out.
    """

    source: str
    answers: Mapping[Key, Answer]
    readers: tuple[Reader, ...]
    notes: tuple[str, ...]


def read_readings(folders: Sequence[Path], specs: Sequence[JudgeSpec], tasks: Collection[str] = ()) -> Readings:
    """Read runs of the same answers, each with its own judge; or one run's answers with the judges of ``specs``.

    Args:
        folders: Result folders of lmms-eval; only one with ``specs``.
        specs: The judges that are to read the answers; none for the verdicts that the runs hold.
        tasks: Only these tasks, where ``*`` stands for anything; all by default.

    Raises:
        UserError: Naming what is missing, what is of another version, and an example of what differs.
    """
    if specs and len(folders) > 1:
        raise UserError(
            "judges read the answers of one run: give one RUN, or leave --judges out to compare the runs' own"
        )
    opened = [open_run(folder, tasks) for folder in folders]
    source = _source(opened)
    runs, notes = _of_common_tasks(opened, source)
    _refuse_other_answers(folders, runs)
    answers = {key: saved.answer for key, saved in runs[0].items() if saved.answer is not None}
    if len(answers) < len(runs[0]):
        notes.append(f"{len(runs[0]) - len(answers)} answers are left out: the model's request failed.")
    if not answers:
        raise UserError(f"{folders[0]}: no answer that could be read: every request failed")
    readers = [_read_by(spec, runs[0], answers) for spec in specs] or [_own(run, answers) for run in runs]
    return Readings(source, answers, _told_apart(readers, specs, folders), tuple(notes))


def _source(opened: Sequence[RunFolder]) -> str:
    found = sorted({each for run in opened for task in run.tasks for each in SOURCES if task.startswith(f"{each}_")})
    if len(found) != 1:
        raise UserError(
            f"expected tasks of one source, {' or '.join(SOURCES)}, found {' and '.join(found) or 'none'}: numbers of the "
            "two are never in one table. Choose with --task."
        )
    return found[0]


def _of_common_tasks(opened: Sequence[RunFolder], source: str) -> tuple[list[Run], list[str]]:
    """The runs' answers to the tasks that all of them have, and what was left out."""
    notes = [note for run in opened for note in run.notes]
    readable = [
        [
            task
            for task, evaluation in run.tasks.items()
            if task.startswith(f"{source}_") and evaluation.harness == "lmms-eval" and manner(task) != "likelihood"
        ]
        for run in opened
    ]
    common = [task for task in readable[0] if all(task in tasks for tasks in readable)]
    if left_out := sorted({task for tasks in readable for task in tasks} - set(common)):
        notes.append(f"Left out, since not every run has them: {', '.join(left_out)}.")
    runs = [_saved(run, common, source) for run in opened]
    if not runs[0]:
        found = "; ".join(f"{run.path}: {', '.join(run.tasks)}" for run in opened)
        raise UserError(f"expected tasks with judged answers that every run has, found {found}")
    return runs, notes


def _saved(run: RunFolder, tasks: Sequence[str], source: str) -> Run:
    found: dict[Key, Saved] = {}
    for task in tasks:
        evaluation = run.tasks[task]
        path = evaluation.samples(task)
        if not path.is_file():
            raise UserError(f"{path}: missing. The run was cut off, or it was run without --log_samples: run it again.")
        for saved in read_saved(path, source, evaluation.rows(task)):
            if saved.record.probe == "capability":  # one of a few words, read by exact match and no judge
                continue
            key = task, saved.record.row, saved.record.question
            if key in found:
                raise UserError(f"{path}: row {key[1]}, question {key[2]} is answered twice. Run it again.")
            found[key] = saved
    return found


def _refuse_other_answers(folders: Sequence[Path], runs: Sequence[Run]) -> None:
    first = runs[0]
    for folder, run in zip(folders[1:], runs[1:], strict=True):
        only = [*(key for key in first if key not in run), *(key for key in run if key not in first)]
        if only:
            raise UserError(
                f"{folder} and {folders[0]} do not hold the same answers: {len(only)} are in one of them only, such as "
                f"{_named(only[0])}. Judge one run again: unsafeconcepts judge RUN --judge NAME."
            )
        differ = [key for key, saved in first.items() if saved.answer != run[key].answer]
        if differ:
            key = differ[0]
            said, other = (_short(each[key].answer) for each in (first, run))
            raise UserError(
                f"{folder} and {folders[0]} do not hold the same answers: {len(differ)} of {len(first)} differ, such as "
                f"{_named(key)}: {said} and {other}. Judge one run again: unsafeconcepts judge RUN --judge NAME."
            )


def _read_by(spec: JudgeSpec, run: Run, answers: Mapping[Key, Answer]) -> Reader:
    judge = spec.open()
    records = {}
    for task in dict.fromkeys(key[0] for key in answers):
        keys = [key for key in answers if key[0] == task]
        for key, verdict in zip(keys, verdicts(judge, [answers[key] for key in keys]), strict=True):
            records[key] = replace(run[key].record, verdict=verdict, judge=judge.name)
    return Reader(judge.name, records)


def _own(run: Run, answers: Mapping[Key, Answer]) -> Reader:
    records = {key: run[key].record for key in answers}
    return Reader(", ".join(sorted({record.judge for record in records.values()})), records)


def _told_apart(readers: Sequence[Reader], specs: Sequence[JudgeSpec], folders: Sequence[Path]) -> tuple[Reader, ...]:
    """Readers with names of their own."""
    often = Counter(reader.name for reader in readers)
    places = [str(spec) for spec in specs] if specs else [str(folder) for folder in folders]
    named = [
        replace(reader, name=f"{reader.name} ({place})") if often[reader.name] > 1 else reader
        for reader, place in zip(readers, places, strict=True)
    ]
    if len({reader.name for reader in named}) < len(named):
        raise UserError(f"expected different readers, found twice: {', '.join(places)}")
    return tuple(named)


def _named(key: Key) -> str:
    return f"{key[0]}, row {key[1]}, question {key[2]}"


def _short(answer: Answer | None) -> str:
    text = "a failed request" if answer is None else answer.response
    return repr(text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…")
