"""Results files of both harnesses: which model was asked which tasks, how, and which evaluation of a task is the newest.

lmms-eval writes ``<date>_results.json`` and ``<date>_samples_<task>.jsonl``, lm-eval ``results_<date>.json`` and
``samples_<task>_<date>.jsonl``. A folder may hold many evaluations of many models.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Final, Literal

from loguru import logger
from pydantic import ValidationError

from harness_ext.common.errors import UserError, shown
from harness_ext.common.options import problem
from harness_ext.common.reading import Unreadable, read_json
from harness_ext.records import Manner
from harness_ext.registry import benchmarks, find_task, remember, source_of
from harness_ext.runs.forms import RESULTS

Harness = Literal["lmms-eval", "lm-eval"]
_NAMES: Final[Mapping[Harness, re.Pattern[str]]] = {
    "lmms-eval": re.compile(r"(\d{8}_\d{6})_results\.json"),
    "lm-eval": re.compile(r"results_(\d{4}-\d\d-\d\dT[\d.-]+)\.json"),
}
# What makes two evaluations under one name those of two models. lm-eval records the hub's commit under other names.
_MODEL: Final = (
    "weights", "weights_identity", "revision", "adapter", "adapter_identity", "dtype", "load_in_4bit", "defence",
    "model_revision", "model_sha", "peft_sha", "delta_sha", "guard_format", "guard_policy",
)  # fmt: skip
# In the results of a run that was judged again: the judge, and whose answers it read.
JUDGED_BY: Final = "judged_by"
JUDGED_FROM: Final = "judged_from"
# Which version of judges/envelope.py took the answers out of the responses.
ENVELOPE: Final = "envelope"
# Of a guard: its format, by which it was asked and its answers were read, and the policy that it was given.
GUARD_FORMAT: Final = "guard_format"
GUARD_POLICY: Final = "guard_policy"
# In the results: by name, the title and digests of each benchmark that is not packaged.
BENCHMARKS: Final = "benchmarks"
_STATE: Final = ("benchmark_sha256", "images_sha256")
# In the results of answers that somebody else's run gave: where they were read, and what has no labels here.
IMPORTED_FROM: Final = "imported_from"
WITHOUT_LABELS: Final = "without_labels"
# What this project writes into lmms-eval's results, as a table shows it.
_OF_THE_MODEL: Final = ("weights", "revision", "adapter", "dtype", "load_in_4bit", "defence", "passes")
_PROVENANCE: Final = (
    "unsafeconcepts_source", "test_source", "test_split", "smid_source",
    "nsfw_source", "glyphworld_source", "prefix_sharing", "evaluation_judge", "unsafeconcepts_version",
    "made_with", GUARD_FORMAT, GUARD_POLICY, IMPORTED_FROM, JUDGED_BY, JUDGED_FROM,
)  # fmt: skip


class NotWhole(UserError):
    """What was cut off while it was saved: the message names the file."""


@dataclass(frozen=True)
class Evaluation:
    """One results file."""

    path: Path
    date: str  # in its name, and in those of its sample files
    content: Mapping[str, Any]
    harness: Harness  # which wrote it

    @property
    def names(self) -> tuple[str, str, str]:
        """The model's full name, the name given to ``--model``, and the weights' name."""
        config = self.content["config"]
        name, arguments = str(config["model"]), config["model_args"]
        if isinstance(arguments, Mapping):
            arguments = ",".join(f"{key}={value}" for key, value in arguments.items())
        full = f"{name} ({arguments})" if arguments else name
        if IMPORTED_FROM in config:
            full = f"{full}, answers of another's run"
        if judge := config.get(JUDGED_BY):
            # Two readings of the same answers are never one run, nor the older and the newer of one.
            full = f"{full}, judged again by {judge}"
        return full, name, str(self.content.get("model_name") or name)

    @property
    def model(self) -> Mapping[str, Any]:
        """The identity of the model: two files of one name can be of different weights."""
        config = self.content["config"]
        return {"model": self.names[0]} | {name: config[name] for name in _MODEL if config.get(name) is not None}

    def identity(self, source: str) -> Mapping[str, Any]:
        """As :attr:`model`, with the state of the benchmark ``source``: a user's can change between two evaluations."""
        told = self.content["config"].get(BENCHMARKS, {}).get(source, {})
        return {**self.model, **{name: told[name] for name in _STATE if name in told}}

    @property
    def tasks(self) -> list[str]:
        """All its tasks."""
        return list(self.content["n-samples"])

    def probes(self, source: str, asked: Manner, only: Collection[str] = ()) -> list[str]:
        """The probes of one source and manner of asking; among ``only`` if it names some."""
        ours = [found for task in self.tasks if (found := find_task(task)) and (not only or task in only)]
        return [task.name for task in ours if task.source == source and task.manner == asked]

    def samples(self, task: str) -> Path:
        """The file of a task's sample rows."""
        name = f"{self.date}_samples_{task}" if self.harness == "lmms-eval" else f"samples_{task}_{self.date}"
        return self.path.with_name(f"{name}.jsonl")

    def available(self, task: str) -> int:
        """How many documents the task has."""
        return int(self.content["n-samples"][task]["original"])

    def asked(self, task: str) -> int:
        """How many documents were asked; the results file leaves the offset out of its count."""
        samples = self.content["n-samples"][task]
        return int(min(samples["effective"], max(0, samples["original"] - (self.content["config"].get("offset") or 0))))

    def rows(self, task: str) -> int:
        """How many rows the task's sample file must have: lm-eval writes one a document and filter."""
        filters = self.content["configs"].get(task, {}).get("filter_list") if self.harness == "lm-eval" else None
        return self.asked(task) * max(1, len(filters or ()))

    def require_samples(self, task: str) -> Path:
        """The file of a task's sample rows. Raises ``NotWhole`` if it is missing."""
        if not (path := self.samples(task)).is_file():
            raise NotWhole(f"{path}: missing. The run was cut off, or it was run without --log_samples: run it again.")
        return path

    def partly_asked(self, task: str) -> list[str]:
        """A note for the reader where only a part of a task was asked."""
        asked, available = self.asked(task), self.available(task)
        return [f"Only a part was asked: {asked} of {available} questions of {task}."] if asked < available else []

    @property
    def imported(self) -> list[str]:
        """Notes for the reader where somebody else's run gave the answers, with the shares of what has no labels here."""
        if not (where := self.content["config"].get(IMPORTED_FROM)):
            return []
        found = [f"Somebody else's run gave the answers ({where}); a judge of this project read them."]
        for task, shares in self.content.get(WITHOUT_LABELS, {}).items():
            found.append(
                f"{task}, of {shares['answers']} answers: {shares['unsafe']:.3f} unsafe, {shares['safe']:.3f} safe, "
                f"{shares['na']:.3f} na. The labels are not at hand: no accuracy."
            )
        return found

    def diversity(self, task: str) -> float | None:
        """1 - self-BLEU of the task's responses, if the harness computed it."""
        value = self.content.get("results", {}).get(task, {}).get("diversity,none")
        return float(value) if isinstance(value, int | float) else None

    @property
    def _told(self) -> list[str]:
        """What this project wrote of the run; behind the copy of the images that of each of the user's benchmarks."""
        config = self.content["config"]
        own = [f"{name}_{what}" for name in config.get(BENCHMARKS, {}) for what in ("source", "split")]
        return [*_OF_THE_MODEL, *own, *_PROVENANCE]

    def settings(self, task: str, judges: Iterable[str]) -> dict[str, str]:
        """How a task was asked, for the reader of a table; ``judges`` are the names of those who read its answers."""
        config = self.content["config"]
        generation = self.content["configs"].get(task, {}).get("generation_kwargs")
        seeds = ", ".join(f"{key.removesuffix('_seed')} {config[key]}" for key in config if key.endswith("_seed"))
        return {
            "model": self.names[0],
            "results file": self.path.name,
            "tasks": task,
            "judge": ", ".join(sorted(judges)),
            "decoding": _decoding(generation),
            "generation": json.dumps(generation),
            "seeds": seeds,
            "batch size": str(config.get("batch_size")),
            "task version": str(self.content.get("versions", {}).get(task)),
            **{name: str(config[name]) for name in self._told if name in config},
            "code (branch@commit, as lmms-eval saw it)": str(self.content.get("lmms_eval_version")),
        }


def read_evaluations(folder: Path, *harnesses: Harness) -> list[Evaluation]:
    """Every evaluation below ``folder``, oldest first; empty if there is none.

    A file that was cut off while it was saved is left out, with a warning, if a newer whole one lies beside it.

    Raises:
        UserError: ``folder`` does not exist, or a file cannot be used.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder. Expected the --output_path of an evaluation.")
    found: list[Evaluation] = []
    for harness, pattern in _NAMES.items():
        if harnesses and harness not in harnesses:
            continue
        dates = {path: match[1] for path in folder.rglob("*.json") if (match := pattern.fullmatch(path.name))}
        whole: list[Evaluation] = []
        for path in sorted(dates, reverse=True):
            try:
                whole.append(Evaluation(path, dates[path], read_results(path), harness))
            except NotWhole as error:
                if not any(newer.path.parent == path.parent for newer in whole):
                    raise
                logger.warning(f"left out, for newer results lie beside it: {error}")
        found += whole
    return sorted(found, key=lambda each: (each.date, each.path))


def read_results(path: Path) -> dict[str, Any]:
    """The content of a results file of either harness.

    Raises:
        NotWhole: It is not JSON.
        UserError: It cannot be used. Both name the file.
    """
    try:
        content = read_json(path)
    except Unreadable as error:
        kind = UserError if isinstance(error.__cause__, OSError) else NotWhole
        raise kind(f"{error}. Was the run cut off? Run it again or delete the file.") from error
    config = content.get("config")
    present = content.keys() | (config.keys() if isinstance(config, dict) else set())
    foreign = f"{path}: not a results file of this version of lmms-eval"
    if missing := sorted({"config", "configs", "n-samples", "model", "model_args"} - present):
        raise UserError(f"{foreign}: {', '.join(missing)} missing")
    try:
        RESULTS.validate_python(content, strict=True)
    except ValidationError as error:
        raise UserError(f"{foreign}: {problem(error)}") from error
    _require_tree(content.get("group_subtasks", {}), foreign)
    remember(config.get(BENCHMARKS, {}) if isinstance(config, dict) else {})
    return content


def _require_tree(groups: Mapping[str, Sequence[str]], foreign: str) -> None:
    """Raise ``UserError`` where a group is, through others, a part of itself."""
    try:
        tuple(TopologicalSorter(groups).static_order())
    except CycleError as error:
        raise UserError(f"{foreign}: group_subtasks: a group within itself, {shown(error.args[1])}") from error


def newest_by_task(
    chosen: Iterable[tuple[Evaluation, Collection[str]]],
) -> tuple[dict[str, Evaluation], dict[Path, list[str]]]:
    """Each task's newest evaluation, and the tasks of older evaluations that are left aside, by results file.

    ``chosen`` are evaluations with those of their tasks that are wanted, oldest first.
    """
    newest: dict[str, Evaluation] = {}
    left_aside: dict[Path, list[str]] = {}
    for evaluation, tasks in chosen:
        for task in tasks:
            if (older := newest.get(task)) is not None:
                left_aside.setdefault(older.path, []).append(task)
            newest[task] = evaluation
    return newest, left_aside


def shared(values: Mapping[str, str]) -> str:
    """One value if all tasks have the same, else each task's."""
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    return "; ".join(f"{task}: {value}" for task, value in values.items())


def _decoding(generation: Mapping[str, Any] | None) -> str:
    """How answers were decoded, in words, from what the harness handed to the model."""
    if generation is None:
        return "not said"
    if generation.get("likelihood"):
        return "none, likelihoods"
    temperature = generation.get("temperature")
    if not generation.get("do_sample") or temperature == 0:
        return "greedy"
    return f"sampled (temperature {1.0 if temperature is None else temperature}, top-p {generation.get('top_p', 1.0)})"


# --- one model's evaluations ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunFiles:
    """The evaluations of one model, which both harnesses may have asked."""

    path: Path  # the folder, as it was given
    model: str  # the name with its arguments; two names if the harnesses have different ones
    tasks: Mapping[str, Evaluation]  # each task's newest
    notes: tuple[str, ...]  # what was left aside

    def sources(self) -> list[str]:
        """The benchmarks of its tasks by name, the packaged ones first."""
        found = {source_of(task) for task in self.tasks}
        return [source for source in benchmarks() if source in found]


def open_run(folder: Path, wanted: Collection[str] = ()) -> RunFiles:
    """Find the evaluations of the one model below ``folder``.

    Only the ``wanted`` tasks and tasks of groups count, where ``*`` stands for anything; all of them by default.

    Raises:
        UserError: Naming the folder or the file: nothing is there, a file cannot be used, or there are several models.
    """
    evaluations = read_evaluations(folder)
    if not evaluations:
        raise UserError(
            f"{folder}: neither <date>_results.json nor results_<date>.json in it. Expected the --output_path of an "
            "evaluation by lmms-eval or lm-eval that ended."
        )
    with_tasks = [(each, chosen) for each in evaluations if (chosen := _chosen(each, wanted))]
    if not with_tasks:
        found = sorted({task for each in evaluations for task in each.tasks})
        raise UserError(
            f"{folder}: expected {' or '.join(wanted) or 'at least one task'}, found {', '.join(found) or 'no task'}"
        )
    _refuse_mixed(folder, with_tasks)
    tasks, left_aside = newest_by_task(with_tasks)
    _refuse_changed(folder, tasks)
    used = {each.path: each for each in tasks.values()}.values()
    notes = [f"{folder}: {note}" for each in used for note in each.imported]
    notes += [
        f"{folder}: {', '.join(again)} {'was' if len(again) == 1 else 'were'} evaluated again later; "
        f"{file.relative_to(folder)} is left aside."
        for file, again in left_aside.items()
    ]
    return RunFiles(folder, _one_model(folder, list(used)), tasks, tuple(notes))


def leaves(evaluation: Evaluation, group: str) -> list[str]:
    """The tasks of a group and of the groups in it."""
    below = evaluation.content.get("group_subtasks", {}).get(group)
    return [task for each in below for task in leaves(evaluation, each)] if below else [group]


def _chosen(evaluation: Evaluation, wanted: Collection[str]) -> list[str]:
    """Its tasks that are wanted, and those of a group that is wanted."""
    if not wanted:
        return evaluation.tasks

    def matches(name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in wanted)

    groups = [group for group in evaluation.content.get("group_subtasks", {}) if matches(group)]
    inside = {task for group in groups for task in leaves(evaluation, group)}
    return [task for task in evaluation.tasks if task in inside or matches(task)]


def _refuse_mixed(folder: Path, with_tasks: Iterable[tuple[Evaluation, Collection[str]]]) -> None:
    """The newest evaluation of a task stands for it, but never for another harness's or another model's."""
    seen: dict[str, Evaluation] = {}
    for each, tasks in with_tasks:
        for task in tasks:
            older, seen[task] = seen.get(task, each), each
            if older.harness != each.harness:
                raise UserError(
                    f"{folder}: {task} was evaluated by {older.harness} and by {each.harness}, which are not the same "
                    "evaluation. Give the folder of one of them."
                )
            if older.names[0] != each.names[0]:
                _refuse_several(folder, [(one, one.names[0]) for one in (older, each)])


def _refuse_changed(folder: Path, tasks: Mapping[str, Evaluation]) -> None:
    """Raise ``UserError`` where two tasks were asked of two states of one benchmark."""
    first: dict[str, str] = {}
    for task, evaluation in tasks.items():
        source = source_of(task)
        if source is None or evaluation.harness != "lmms-eval":
            continue
        other = first.setdefault(source, task)
        one, two = (each.identity(source) for each in (tasks[other], evaluation))
        if changed := [name for name in _STATE if one.get(name) != two.get(name)]:
            raise UserError(
                f"{folder}: {source} changed ({', '.join(changed)}) between the evaluations of {other} and {task}: evaluate "
                "one of them again, or choose tasks with --task"
            )


def _one_model(folder: Path, evaluations: list[Evaluation]) -> str:
    """The model's name; raises ``UserError`` if one harness asked several models."""
    names = []
    for harness in _NAMES:
        mine = [each for each in evaluations if each.harness == harness]
        if len({json.dumps(each.model, sort_keys=True, default=str) for each in mine}) > 1:
            described = [(each, ", ".join(f"{key} {value}" for key, value in each.model.items())) for each in mine]
            _refuse_several(folder, described, ", or choose tasks with --task")
        names += [each.names[0] for each in mine[:1]]
    return "; ".join(dict.fromkeys(names))


def _refuse_several(folder: Path, found: Iterable[tuple[Evaluation, str]], or_else: str = "") -> None:
    listed = "; ".join(f"{each.path.relative_to(folder)}: {model}" for each, model in found)
    raise UserError(
        f"{folder}: expected evaluations of one model, found several: {listed}. Give the folder of one of them{or_else}."
    )
