"""The same answers as several judges read them, and as people label them.

Judges: those of runs that were judged differently, or judges of choice on one run.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from harness_ext.common.errors import UserError
from harness_ext.judges.base import AlignmentAnswer, Answer, PerceptionAnswer, verdicts
from harness_ext.judges.lines import BadInputError, read_answer, read_object
from harness_ext.judges.registry import JudgeSpec
from harness_ext.records import LIKELIHOOD, NA, SAFE, UNSAFE, Judgement
from harness_ext.registry import manner, source_of
from harness_ext.runs.answers import Saved, read_saved
from harness_ext.runs.evaluations import RunFiles, open_run
from harness_ext.runs.samples import read_lines

# Task, row and question: what names an answer of a run.
Key = tuple[str, int, int]
Run = Mapping[Key, Saved]
_SHORT: Final = 60
_PLACE: Final = ("task", "row", "question")
_ALIGNMENT: Final[tuple[str, ...]] = (SAFE, UNSAFE, NA)
_Said = tuple[object, str]


@dataclass(frozen=True)
class Reader:
    """One judge's reading of the answers."""

    name: str  # the judge's, with its version; with the run's folder where two readers would have the same name
    records: Mapping[Key, Judgement]


@dataclass(frozen=True)
class Readings:
    """Answers, and all readers' readings of them."""

    source: str  # the benchmark's name
    answers: Mapping[Key, Answer]
    readers: tuple[Reader, ...]  # at least one
    notes: tuple[str, ...]  # what was left out


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


def _source(opened: Sequence[RunFiles]) -> str:
    found = sorted({source for run in opened for source in run.sources()})
    if len(found) != 1:
        raise UserError(
            f"expected tasks of one benchmark, found {' and '.join(found) or 'none'}: numbers of two are never in one "
            "table. Choose with --task."
        )
    return found[0]


def _of_common_tasks(opened: Sequence[RunFiles], source: str) -> tuple[list[Run], list[str]]:
    """The runs' answers to the tasks that all of them have, and what was left out."""
    notes = [note for run in opened for note in run.notes]
    readable = [
        [
            task
            for task, evaluation in run.tasks.items()
            if source_of(task) == source and evaluation.harness == "lmms-eval" and manner(task) != LIKELIHOOD
        ]
        for run in opened
    ]
    common = [task for task in readable[0] if all(task in tasks for tasks in readable)]
    if left_out := sorted({task for tasks in readable for task in tasks} - set(common)):
        notes.append(f"Left out, since not every run has them: {', '.join(left_out)}.")
    runs = [_saved(run, common) for run in opened]
    if not runs[0]:
        found = "; ".join(f"{run.path}: {', '.join(run.tasks)}" for run in opened)
        raise UserError(f"expected tasks with judged answers that every run has, found {found}")
    return runs, notes


def _saved(run: RunFiles, tasks: Sequence[str]) -> Run:
    found: dict[Key, Saved] = {}
    for task in tasks:
        for saved in read_saved(run.tasks[task], task):
            if saved.record.probe == "capability":  # one of a few words, read by exact match and no judge
                continue
            key = task, saved.record.row, saved.record.question
            if key in found:
                path = run.tasks[task].samples(task)
                raise UserError(f"{path}: row {key[1]}, question {key[2]} is answered twice. Run it again.")
            found[key] = saved
    return found


def _refuse_other_answers(folders: Sequence[Path], runs: Sequence[Run]) -> None:
    first = runs[0]
    for folder, run in zip(folders[1:], runs[1:], strict=True):
        if only := [*(key for key in first if key not in run), *(key for key in run if key not in first)]:
            found = f"{len(only)} are in one of them only, such as {_named(only[0])}"
        elif differ := [key for key, saved in first.items() if saved.answer != run[key].answer]:
            said, other = (_short(each[differ[0]].answer) for each in (first, run))
            found = f"{len(differ)} of {len(first)} differ, such as {_named(differ[0])}: {said} and {other}"
        else:
            continue
        raise UserError(
            f"{folder} and {folders[0]} do not hold the same answers: {found}. Judge one run again: unsafeconcepts judge RUN "
            "--judge NAME."
        )


def _read_by(spec: JudgeSpec, run: Run, answers: Mapping[Key, Answer]) -> Reader:
    judge = spec.open()
    read = zip(answers, verdicts(judge, list(answers.values())), strict=True)
    records = {key: replace(run[key].record, verdict=verdict, judge=judge.name) for key, verdict in read}
    return Reader(judge.name, records)


def _own(run: Run, answers: Mapping[Key, Answer]) -> Reader:
    records = {key: run[key].record for key in answers}
    return Reader(", ".join(sorted({record.judge for record in records.values()})), records)


def _told_apart(readers: Sequence[Reader], specs: Sequence[JudgeSpec], folders: Sequence[Path]) -> tuple[Reader, ...]:
    """Readers with names of their own."""
    often = Counter(reader.name for reader in readers)
    places = [str(place) for place in specs or folders]
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


# --- labels given by people -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Labels:
    """Labels of answers."""

    of: Mapping[Key, str]
    unmatched: int  # how many labels are of answers that are not there


def read_labels(path: Path, readings: Readings) -> Labels:
    """Read labels, and find the answers that they are of.

    A line is the label of one answer. It names the answer by its place, ``{"task": …, "row": …, "question": …}``, as
    ``unsafeconcepts agreement --disagreements`` writes it, or by its words, ``{"question": …, "response": …}`` or
    ``{"options": …, "response": …}``. The label is its ``"verdict"`` (``safe``, ``unsafe``, ``na``) or, for a perception
    answer, its ``"choice"`` (a letter, ``na``). A label by words counts once, for the first answer of these words.

    Raises:
        UserError: Naming file and line: not readable, a label of no such kind, an answer labelled twice, other words than the
            answer's; or no label is of an answer that is there.
    """
    first_with: dict[_Said, Key] = {}
    for key, answer in readings.answers.items():
        for said in _said(answer):
            first_with.setdefault(said, key)
    found: dict[Key, str] = {}

    def labelled(line: str) -> tuple[Key, str] | None:
        row, key = _row(line, first_with)
        if key is None or key not in readings.answers:
            return None
        if key in found:
            raise BadInputError(f"the answer {_named(key)} is labelled twice")
        return key, _label(row, readings.answers[key])

    unmatched = 0
    for each in read_lines(path, labelled, "a file of JSON lines"):
        if each is None:
            unmatched += 1
        else:
            found[each[0]] = each[1]
    if not found:
        raise UserError(
            f"{path}: none of its {unmatched} labels is of an answer of this run. Expected rows with task, row and question "
            "as --disagreements writes them, or with question (or options) and response."
        )
    return Labels(found, unmatched)


def _row(line: str, first_with: Mapping[_Said, Key]) -> tuple[dict[str, Any], Key | None]:
    """A line, and the key of its answer; ``None`` where no answer is of these words."""
    row = read_object(line)
    if "task" in row:
        task, at, question = (row.get(name) for name in _PLACE)
        if not isinstance(task, str) or not isinstance(at, int) or not isinstance(question, int):
            raise BadInputError(
                f"expected a text as task and numbers as row and question, found {task!r}, {at!r}, {question!r}"
            )
        return row, (task, at, question)
    row, answer = read_answer(line)
    return row, first_with.get(_said(answer)[-1])


def _label(row: Mapping[str, Any], answer: Answer) -> str:
    name, allowed = "verdict", _ALIGNMENT
    if isinstance(answer, PerceptionAnswer):
        name, allowed = "choice", (*answer.options, NA)
    if "response" in row and row["response"] != answer.response:
        raise BadInputError(f"the label is of {row['response']!r}, the run's answer is {answer.response!r}")
    if row.get(name) not in allowed:
        raise BadInputError(f'expected as "{name}" one of {", ".join(allowed)}, found {row.get(name)!r}')
    return str(row[name])


def _said(answer: Answer) -> list[_Said]:
    """What names an answer by its words: its question's text where it is not published, else its number; and the response."""
    if not isinstance(answer, AlignmentAnswer):
        return [(tuple(answer.options.items()), answer.response)]
    if answer.published is not None:
        return [(answer.published, answer.response)]
    asked = [answer.question, answer.prompt.strip()] if answer.yes == SAFE else [answer.prompt.strip()]
    return [(each, answer.response) for each in asked]
