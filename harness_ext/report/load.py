"""Result folders, as lmms-eval writes them (``--output_path DIR --log_samples``), to runs.

A folder may hold many evaluations: each writes ``<date>_results.json`` and, beside it, ``<date>_samples_<task>.jsonl``
for every task. A model that is named without ``pretrained=`` gets no folder of its own, so what belongs together is told
by the date in the names and the model in the results file. Only tasks named after a source (``unsafeconcepts_*``,
``glyphworld_*``) are read; the two sources, and greedy and sampled (``*_sampled``) answers, never get into one run.
Answers by likelihood (``*_likelihood``) stand beside the greedy ones of the same weights, apart from them, also where
another evaluation asked for them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness_ext.benchmark import SOURCES
from harness_ext.common.errors import UserError
from harness_ext.metrics.records import Judgement, Way
from harness_ext.report.results import ResultsFile, newest_first, results_files
from harness_ext.report.samples import read_samples
from harness_ext.report.scores import MANNERS, Manner

Answers = Mapping[str, tuple[Judgement, ...]]


@dataclass(frozen=True)
class Run:
    """One model's judged answers from one source.

    Attributes:
        model: The model's name, with its arguments where it has any.
        source: ``"unsafeconcepts"`` or ``"glyphworld"``.
        sampled: Whether the tasks are those that sample as the paper does; else they are greedy.
        answers: The judged answers of each task that had them generated.
        settings: What was run, and how, for the reader of a table.
        notes: What the reader must know of this choice of run: older runs left aside, only a part evaluated.
        likelihood: The answers of each task that was asked by likelihood.
        diversity: 1 - self-BLEU of each task's responses, as the harness has written it, of those that have it.
        samples: Where the sample rows of each task lie, in the order of its answers.
    """

    model: str
    source: str
    sampled: bool
    answers: Answers
    settings: Mapping[str, str]
    notes: tuple[str, ...]
    likelihood: Answers = field(default_factory=dict)
    diversity: Mapping[str, float] = field(default_factory=dict)
    samples: Mapping[str, Path] = field(default_factory=dict)


def load_runs(folder: Path, model: str | None = None, tasks: Collection[str] = ()) -> list[Run]:
    """Read the newest run of each model and source below ``folder``.

    Args:
        folder: Where to look, however deep.
        model: Only this model: the name given to ``--model``, the weights' name, or the full name in a table's title.
        tasks: Only these tasks; all by default.

    Raises:
        UserError: Naming the file, when nothing is found or when what is found is incomplete or of another version.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder. Expected the --output_path of an evaluation.")
    files = results_files(folder)
    known = sorted({file.names[0] for file in files})
    if model is not None and not (files := [file for file in files if model in file.names]):
        raise UserError(f"{folder}: no run of model {model!r}; found {', '.join(known)}")

    runs = []
    for name in sorted({file.names[0] for file in files}):
        for source in SOURCES:
            runs += _read_runs([file for file in files if file.names[0] == name], source, tasks)
    if not runs:
        evaluated_tasks = sorted({task for file in files for task in file.content["n-samples"]})
        raise UserError(
            f"{folder}: expected {' or '.join(tasks) or 'tasks named unsafeconcepts_… or glyphworld_…'}, "
            f"found {', '.join(evaluated_tasks) or 'no task'}"
        )
    return runs


def _read_runs(files: list[ResultsFile], source: str, only: Collection[str]) -> list[Run]:
    """One model's runs of one source: greedy, with the likelihoods beside it, and sampled."""
    found: dict[Manner, tuple[ResultsFile, Run]] = {}
    for asked in MANNERS:
        if evaluated := newest_first(file for file in files if file.tasks(source, asked, only)):
            found[asked] = evaluated[0], _read_run(*evaluated, source=source, asked=asked, only=only)
    if "greedy" in found and "likelihood" in found:
        (file, greedy), (other, likelihood) = found["greedy"], found["likelihood"]
        if file.model == other.model:
            del found["likelihood"]
            found["greedy"] = file, _beside(greedy, likelihood)
    return [run for _, run in found.values()]


def _read_run(file: ResultsFile, *older: ResultsFile, source: str, asked: Manner, only: Collection[str]) -> Run:
    answers: dict[str, tuple[Judgement, ...]] = {}
    notes = []
    wanted = file.tasks(source, asked, only)
    for task in wanted:
        path = file.samples(task)
        if not path.is_file():
            raise UserError(f"{path}: missing. The run was cut off, or it was run without --log_samples: run it again.")
        way: Way = "likelihood" if asked == "likelihood" else "generated"
        if judged := read_samples(path, source, way, file.rows(task)):
            answers[task] = judged
        else:
            notes.append(f"{task} holds no judged answers and is left out.")
        if file.rows(task) < file.available(task):
            notes.append(f"Only a part was asked: {file.rows(task)} of {file.available(task)} questions of {task}.")
    if not answers:
        raise UserError(
            f"{file.path}: no judged answers in {', '.join(wanted)}. Was it another version of this project?"
        )
    if older:
        dates = ", ".join(f"{other.date} ({', '.join(other.tasks(source, asked, only))})" for other in older)
        notes.append(f"The run of {file.date} is shown, the newest of this model; left aside: {dates}.")
    settings = file.settings({task: {record.judge for record in records} for task, records in answers.items()})
    run = Run(
        file.names[0],
        source,
        asked == "sampled",
        answers,
        settings,
        tuple(notes),
        diversity=file.diversity(answers),
        samples={task: file.samples(task) for task in answers},
    )
    return replace(run, answers={}, likelihood=answers) if asked == "likelihood" else run


def _beside(greedy: Run, likelihood: Run) -> Run:
    """One run of both; the settings that can differ are those of each."""
    apart = ("results file", "tasks", "judge", "batch size", "task version")
    settings = {f"{name}, likelihood": likelihood.settings[name] for name in apart}
    notes = tuple(dict.fromkeys([*greedy.notes, *likelihood.notes]))
    return replace(
        greedy,
        settings={**greedy.settings, **settings},
        notes=notes,
        likelihood=likelihood.likelihood,
        samples={**greedy.samples, **likelihood.samples},
    )
