"""The results files of one RUN, of lmms-eval and of lm-eval: which tasks it holds, and how each was asked.

lmms-eval writes ``<date>_results.json`` and ``<date>_samples_<task>.jsonl``, lm-eval ``results_<date>.json`` and
``samples_<task>_<date>.jsonl``. A RUN is one model, which may have been asked by both harnesses, in several evaluations.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal

from harness_ext.common.errors import UserError
from harness_ext.report.results import ResultsFile, read_whole

Harness = Literal["lmms-eval", "lm-eval"]
_NAMES: Final[Mapping[Harness, re.Pattern[str]]] = {
    "lmms-eval": re.compile(r"(\d{8}_\d{6})_results\.json"),
    "lm-eval": re.compile(r"results_(\d{4}-\d\d-\d\dT[\d.-]+)\.json"),
}
# What makes two evaluations under one name those of two models. lm-eval records the hub's commit under other names.
_MODEL: Final = (
    "weights",
    "weights_identity",
    "revision",
    "adapter",
    "adapter_identity",
    "dtype",
    "model_revision",
    "model_sha",
    "peft_sha",
    "delta_sha",
)


@dataclass(frozen=True)
class Evaluation(ResultsFile):
    """One results file.

    Attributes:
        harness: Which harness wrote it.
    """

    harness: Harness

    @property
    def model(self) -> Mapping[str, Any]:
        """What its model was."""
        config = self.content["config"]
        return {"model": self.names[0]} | {name: config[name] for name in _MODEL if config.get(name) is not None}

    def samples(self, task: str) -> Path:
        """The file of a task's sample rows."""
        if self.harness == "lmms-eval":
            return super().samples(task)
        return self.path.with_name(f"samples_{task}_{self.date}.jsonl")

    def filters(self, task: str) -> int:
        """How many rows a document has in lm-eval's file: one for each way in which answers were filtered."""
        return (
            max(1, len(self.content["configs"].get(task, {}).get("filter_list") or ()))
            if self.harness == "lm-eval"
            else 1
        )


@dataclass(frozen=True)
class RunFolder:
    """One model's evaluations.

    Attributes:
        path: The folder, as it was given.
        model: The model's name, with its arguments; two where two harnesses named it.
        tasks: Each task's evaluation, the newest one.
        notes: What was left aside.
    """

    path: Path
    model: str
    tasks: Mapping[str, Evaluation]
    notes: tuple[str, ...]


def open_run(folder: Path, wanted: Collection[str] = ()) -> RunFolder:
    """Look at the results files below ``folder``.

    Args:
        folder: The ``--output_path`` of evaluations of one model.
        wanted: Only tasks of these names, where ``*`` stands for anything; all by default.

    Raises:
        UserError: Naming the folder or the file, when there is nothing, when a file cannot be used, or when the evaluations
            are of several models.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder. Expected the --output_path of an evaluation.")
    evaluations = [
        Evaluation(path, dates[path], content, harness)
        for harness, pattern in _NAMES.items()
        if (dates := {path: match[1] for path in folder.rglob("*.json") if (match := pattern.fullmatch(path.name))})
        for path, content in read_whole(dates)
    ]
    if not evaluations:
        raise UserError(
            f"{folder}: neither <date>_results.json nor results_<date>.json in it. Expected the --output_path of an "
            "evaluation by lmms-eval or lm-eval that ended."
        )
    with_tasks = [(each, chosen) for each in evaluations if (chosen := _chosen(each, wanted))]
    if not with_tasks:
        found = sorted({task for each in evaluations for task in each.content["n-samples"]})
        raise UserError(
            f"{folder}: expected {' or '.join(wanted) or 'at least one task'}, found {', '.join(found) or 'no task'}"
        )
    tasks: dict[str, Evaluation] = {}
    left_aside: dict[str, list[str]] = {}
    for each, chosen in sorted(with_tasks, key=lambda pair: pair[0].path.name):
        for task in chosen:
            if (older := tasks.get(task)) is not None:
                if older.harness != each.harness:
                    raise UserError(
                        f"{folder}: {task} was evaluated by {older.harness} and by {each.harness}, which are not the same "
                        "evaluation. Give the folder of one of them."
                    )
                _refuse_other_name(folder, older, each)
                left_aside.setdefault(str(older.path.relative_to(folder)), []).append(task)
            tasks[task] = each
    used = {str(each.path): each for each in tasks.values()}.values()
    notes = [
        f"{folder}: {', '.join(again)} {'was' if len(again) == 1 else 'were'} evaluated again later; {file} is left aside."
        for file, again in left_aside.items()
    ]
    return RunFolder(folder, _one_model(folder, list(used)), tasks, tuple(notes))


def _refuse_other_name(folder: Path, older: Evaluation, newer: Evaluation) -> None:
    """The newest evaluation of a model stands for it; that of another model, asked later, does not."""
    if older.names[0] != newer.names[0]:
        found = "; ".join(f"{each.path.relative_to(folder)}: {each.names[0]}" for each in (older, newer))
        raise UserError(
            f"{folder}: expected evaluations of one model, found several: {found}. Give the folder of one of them."
        )


def _chosen(evaluation: Evaluation, wanted: Collection[str]) -> list[str]:
    """Its tasks that are wanted; those of a group that is wanted too."""
    tasks = list(evaluation.content["n-samples"])
    if not wanted:
        return tasks
    groups = [group for group in evaluation.content.get("group_subtasks", {}) if _matches(group, wanted)]
    inside = {task for group in groups for task in leaves(evaluation, group)}
    return [task for task in tasks if task in inside or _matches(task, wanted)]


def leaves(evaluation: Evaluation, group: str) -> list[str]:
    """The tasks of a group and of the groups in it."""
    below = evaluation.content.get("group_subtasks", {}).get(group)
    return [task for each in below for task in leaves(evaluation, each)] if below else [group]


def _matches(name: str, patterns: Collection[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _one_model(folder: Path, evaluations: list[Evaluation]) -> str:
    """The model's name; raises ``UserError`` where one harness asked several models."""
    names = []
    for harness in _NAMES:
        mine = [each for each in evaluations if each.harness == harness]
        if len({json.dumps(each.model, sort_keys=True, default=str) for each in mine}) > 1:
            found = "; ".join(f"{each.path.relative_to(folder)}: {_described(each.model)}" for each in mine)
            raise UserError(
                f"{folder}: expected evaluations of one model, found several: {found}. Give the folder of one of them, or "
                "choose tasks with --task."
            )
        names += [each.names[0] for each in mine[:1]]
    return "; ".join(dict.fromkeys(names))


def _described(model: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in model.items())
