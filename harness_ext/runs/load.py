"""A result folder to runs: each model's judged answers from each source.

The two sources, and greedy and sampled answers, never get into one run. Answers by likelihood stand beside the greedy ones
of the same weights, apart from them, also if another evaluation asked for them. Of each task the newest evaluation counts,
as everywhere; evaluations of other weights under the same name are left aside.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from harness_ext.common.errors import UserError
from harness_ext.records import GREEDY, LIKELIHOOD, MANNERS, SAMPLED, Judgement, Manner
from harness_ext.registry import benchmarks
from harness_ext.runs.evaluations import Evaluation, NotWhole, newest_by_task, read_evaluations, shared
from harness_ext.runs.samples import read_samples

Judged = Mapping[str, tuple[Judgement, ...]]
# From this share on, responses that had too few tokens are worth a note.
_FEW: Final = 0.01
# The settings that can differ between greedy answers and those by likelihood beside them.
_APART: Final = ("results file", "tasks", "judge", "batch size", "task version")


@dataclass(frozen=True)
class Run:
    """One model's judged answers from one source."""

    model: str  # the name, with its arguments where it has any
    source: str  # the benchmark's name
    sampled: bool  # whether the tasks sample as the paper does; else they are greedy
    answers: Judged  # of each task that had them generated
    settings: Mapping[str, str]  # what was run, and how, for the reader of a table
    notes: tuple[str, ...]  # what the reader must know: older runs are left aside, only a part was evaluated
    likelihood: Judged = field(default_factory=dict)  # of each task that was asked by likelihood
    # 1 - self-BLEU of the responses, of tasks that have it.
    diversity: Mapping[str, float] = field(default_factory=dict)
    # Where each task's answers are from; its sample rows are in the order of the answers.
    evaluations: Mapping[str, Evaluation] = field(default_factory=dict)


def load_runs(folder: Path, model: str | None = None, tasks: Collection[str] = ()) -> list[Run]:
    """Read the runs of each model and source below ``folder``, evaluated by lmms-eval with ``--log_samples``.

    Args:
        folder: Where to look, however deep.
        model: Only this model: the name given to ``--model``, the weights' name, or the full name in a table's title.
        tasks: Only these tasks; all by default.

    Raises:
        UserError: Naming the file, when nothing is found or when what is found is incomplete or of another version.
    """
    evaluations = lmms_evaluations(folder)
    known = sorted({each.names[0] for each in evaluations})
    if model is not None and not (evaluations := [each for each in evaluations if model in each.names]):
        raise UserError(f"{folder}: no run of model {model!r}; found {', '.join(known)}")
    runs = []
    for name in sorted({each.names[0] for each in evaluations}):
        for source in benchmarks():
            runs += _read_runs([each for each in evaluations if each.names[0] == name], source, tasks)
    if not runs:
        found = sorted({task for each in evaluations for task in each.tasks})
        raise UserError(
            f"{folder}: expected {' or '.join(tasks) or 'tasks of ' + ' or '.join(benchmarks())}, "
            f"found {', '.join(found) or 'no task'}"
        )
    return runs


def lmms_evaluations(folder: Path) -> list[Evaluation]:
    """lmms-eval's evaluations below ``folder``, oldest first. Raises ``UserError`` if there is none."""
    if not (found := read_evaluations(folder, "lmms-eval")):
        raise UserError(
            f"{folder}: no <date>_results.json in it. Expected the --output_path of an lmms-eval evaluation."
        )
    return found


def _read_runs(evaluations: Sequence[Evaluation], source: str, only: Collection[str]) -> list[Run]:
    """One model's runs of one source: greedy, with the likelihoods beside it, and sampled."""
    found: dict[Manner, tuple[Evaluation, Run]] = {}
    for asked in MANNERS:
        if chosen := [(each, tasks) for each in evaluations if (tasks := each.probes(source, asked, only))]:
            found[asked] = chosen[-1][0], _read_run(chosen, source, asked)
    if GREEDY in found and LIKELIHOOD in found:
        (newest, greedy), (other, likelihood) = found[GREEDY], found[LIKELIHOOD]
        if newest.identity(source) == other.identity(source):
            del found[LIKELIHOOD]
            found[GREEDY] = newest, _beside(greedy, likelihood)
    return [run for _, run in found.values()]


def _read_run(chosen: Sequence[tuple[Evaluation, list[str]]], source: str, asked: Manner) -> Run:
    """The run of the newest evaluation's model; ``chosen`` are evaluations with their tasks, oldest first."""
    newest = chosen[-1][0]
    same = [(each, tasks) for each, tasks in chosen if each.identity(source) == newest.identity(source)]
    shown, left_aside = newest_by_task(same)
    shown = {task: shown[task] for _, tasks in reversed(chosen) for task in tasks if task in shown}
    answers: dict[str, tuple[Judgement, ...]] = {}
    notes = []
    for task, evaluation in shown.items():
        try:
            judged = read_samples(evaluation, task)
        except NotWhole as error:
            if evaluation is newest:
                raise
            notes.append(f"{task} of {evaluation.date} is left out: {error}")
            continue
        if judged:
            answers[task] = judged
        else:
            notes.append(f"{task} holds no judged answers and is left out.")
        notes += [*evaluation.partly_asked(task), *_too_short(task, judged)]
    if not answers:
        raise UserError(
            f"{newest.path}: no judged answers in {', '.join(shown)}. Was it another version of this project?"
        )
    notes += dict.fromkeys(note for evaluation in shown.values() for note in evaluation.imported)
    notes += _choice(chosen, shown, left_aside, source)
    settings = {
        task: shown[task].settings(task, {record.judge for record in records}) for task, records in answers.items()
    }
    names = dict.fromkeys(name for each in settings.values() for name in each)
    run = Run(
        newest.names[0],
        source,
        asked == SAMPLED,
        answers,
        {name: shared({task: each.get(name, "not said") for task, each in settings.items()}) for name in names}
        | {"tasks": ", ".join(answers)},
        tuple(notes),
        diversity={task: value for task in answers if (value := shown[task].diversity(task)) is not None},
        evaluations={task: shown[task] for task in answers},
    )
    return replace(run, answers={}, likelihood=answers) if asked == LIKELIHOOD else run


def _too_short(task: str, judged: Sequence[Judgement]) -> list[str]:
    """A note where more than a few responses had too few tokens: to answer at all, or to end."""
    ended = {
        "while the model was thinking; they are in na": sum(record.cut_off for record in judged),
        "at the limit of their tokens": sum(record.at_limit for record in judged),
    }
    return [
        f"{count} of {len(judged)} responses of {task} ended {how}. More tokens: --gen_kwargs max_new_tokens=N."
        for how, count in ended.items()
        if count > _FEW * len(judged)
    ]


def _choice(
    chosen: Sequence[tuple[Evaluation, list[str]]],
    shown: Mapping[str, Evaluation],
    left_aside: Mapping[Path, list[str]],
    source: str,
) -> list[str]:
    """Which evaluations are shown and which are not, where there are several."""
    newest = chosen[-1][0]
    older = []
    for each, tasks in reversed(chosen):
        same = each.identity(source) == newest.identity(source)
        if aside := left_aside.get(each.path, []) if same else tasks:
            changed = "" if same or each.model != newest.model else f"; {source} changed since"
            older.append(f"{each.date} ({', '.join(aside)}{changed})")
    dates = {evaluation.date: None for evaluation in shown.values()}
    if not older and len(dates) == 1:
        return []
    which = f"The run of {newest.date} is shown, the newest of this model"
    if len(dates) > 1:
        which = f"The runs of {', '.join(dates)} are shown, the newest of this model by task"
    return [f"{which}; left aside: {', '.join(older)}." if older else f"{which}."]


def _beside(greedy: Run, likelihood: Run) -> Run:
    """One run of both; the settings that can differ are those of each."""
    settings = {f"{name}, likelihood": likelihood.settings[name] for name in _APART}
    return replace(
        greedy,
        settings={**greedy.settings, **settings},
        notes=tuple(dict.fromkeys([*greedy.notes, *likelihood.notes])),
        likelihood=likelihood.likelihood,
        evaluations={**greedy.evaluations, **likelihood.evaluations},
    )
