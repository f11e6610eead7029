"""Result folders, as lmms-eval writes them (``--output_path DIR --log_samples``), to runs.

A folder may hold many evaluations: each writes ``<date>_results.json`` and, beside it, ``<date>_samples_<task>.jsonl``
for every task. A model that is named without ``pretrained=`` gets no folder of its own, so what belongs together is told
by the date in the names and the model in the results file. Only tasks named after a source (``unsafeconcepts_*``,
``glyphworld_*``) are read; the two sources, and greedy and sampled (``*_sampled``) answers, never get into one run.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness_ext.benchmark import SOURCES
from harness_ext.errors import UserError
from harness_ext.metrics.records import Judgement
from harness_ext.report.samples import read_samples
from harness_ext.report.scores import SAMPLED

# What our plugin writes into the results file beside what the harness does.
_PROVENANCE: Final = ("weights", "revision", "adapter", "dtype", "unsafeconcepts_source", "unsafeconcepts_version")
_Kind = tuple[str, bool]
_KINDS: Final[tuple[_Kind, ...]] = tuple((source, sampled) for source in SOURCES for sampled in (False, True))
_RESULTS: Final = re.compile(r"(\d{8}_\d{6})_results\.json")


@dataclass(frozen=True)
class Run:
    """One model's judged answers from one source.

    Attributes:
        model: The model's name, with its arguments where it has any.
        source: ``"unsafeconcepts"`` or ``"glyphworld"``.
        sampled: Whether the tasks are those that sample as the paper does; else they are greedy.
        answers: The judged answers of each task.
        settings: What was run, and how, for the reader of a table.
        notes: What the reader must know of this choice of run: older runs left aside, only a part evaluated.
    """

    model: str
    source: str
    sampled: bool
    answers: Mapping[str, tuple[Judgement, ...]]
    settings: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _ResultsFile:
    path: Path
    date: str
    content: Mapping[str, Any]

    @property
    def names(self) -> tuple[str, str, str]:
        """The model's full name, and two shorter ones that it may be asked for by: that of ``--model``, its weights'."""
        config = self.content["config"]
        name, arguments = str(config["model"]), config["model_args"]
        if isinstance(arguments, Mapping):
            arguments = ",".join(f"{key}={value}" for key, value in arguments.items())
        full = f"{name} ({arguments})" if arguments else name
        return full, name, str(self.content.get("model_name") or name)

    def tasks(self, kind: _Kind, only: Collection[str]) -> list[str]:
        """The tasks of one source and decoding; of these, where ``only`` names some, those."""
        source, sampled = kind
        return [
            task
            for task in self.content["n-samples"]
            if task.startswith(f"{source}_") and task.endswith(SAMPLED) == sampled and (not only or task in only)
        ]

    def rows(self, task: str) -> int:
        """How many documents the run asked; the results file leaves the offset out of its count."""
        samples = self.content["n-samples"][task]
        return int(min(samples["effective"], max(0, samples["original"] - (self.content["config"].get("offset") or 0))))


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
    files = [
        _read_results(path, match[1])
        for path in sorted(folder.rglob("*_results.json"))
        if (match := _RESULTS.fullmatch(path.name))
    ]
    if not files:
        raise UserError(
            f"{folder}: no <date>_results.json in it. Expected the --output_path of an lmms-eval evaluation."
        )
    known = sorted({file.names[0] for file in files})
    if model is not None and not (files := [file for file in files if model in file.names]):
        raise UserError(f"{folder}: no run of model {model!r}; found {', '.join(known)}")

    runs = []
    for name in sorted({file.names[0] for file in files}):
        for kind in _KINDS:
            evaluated = [file for file in files if file.names[0] == name and file.tasks(kind, tasks)]
            if evaluated:
                newest, *older = sorted(evaluated, key=lambda file: file.date, reverse=True)
                runs.append(_read_run(newest, older, kind, tasks))
    if not runs:
        evaluated_tasks = sorted({task for file in files for task in file.content["n-samples"]})
        raise UserError(
            f"{folder}: expected {' or '.join(tasks) or 'tasks named unsafeconcepts_… or glyphworld_…'}, "
            f"found {', '.join(evaluated_tasks) or 'no task'}"
        )
    return runs


def _read_results(path: Path, date: str) -> _ResultsFile:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read ({error}). Was the run cut off? Run it again or delete the file."
        ) from error
    present = content.keys() | content.get("config", {}).keys() if isinstance(content, dict) else set()
    if missing := sorted({"config", "configs", "n-samples", "model", "model_args"} - present):
        raise UserError(f"{path}: not a results file of this version of lmms-eval: {', '.join(missing)} missing")
    return _ResultsFile(path, date, content)


def _read_run(file: _ResultsFile, older: list[_ResultsFile], kind: _Kind, only: Collection[str]) -> Run:
    answers: dict[str, tuple[Judgement, ...]] = {}
    notes = []
    wanted = file.tasks(kind, only)
    for task in wanted:
        path = file.path.with_name(f"{file.date}_samples_{task}.jsonl")
        if not path.is_file():
            raise UserError(f"{path}: missing. The run was cut off, or it was run without --log_samples: run it again.")
        if judged := read_samples(path, kind[0], file.rows(task)):
            answers[task] = judged
        else:
            notes.append(f"{task} holds no judged answers and is left out.")
        asked, available = file.rows(task), file.content["n-samples"][task]["original"]
        if asked < available:
            notes.append(f"Only a part was asked: {asked} of {available} questions of {task}.")
    if not answers:
        raise UserError(
            f"{file.path}: no judged answers in {', '.join(wanted)}. Was it another version of this project?"
        )
    if older:
        dates = ", ".join(f"{other.date} ({', '.join(other.tasks(kind, only))})" for other in older)
        notes.append(f"The run of {file.date} is shown, the newest of this model; left aside: {dates}.")
    return Run(file.names[0], *kind, answers, _settings(file, answers), tuple(notes))


def _settings(file: _ResultsFile, answers: Mapping[str, tuple[Judgement, ...]]) -> dict[str, str]:
    config, configs = file.content["config"], file.content["configs"]
    seeds = ", ".join(f"{key.removesuffix('_seed')} {config[key]}" for key in config if key.endswith("_seed"))
    decoding = {task: _decoding(configs.get(task, {}).get("generation_kwargs")) for task in answers}
    generation = {task: json.dumps(configs.get(task, {}).get("generation_kwargs")) for task in answers}
    versions = {task: str(file.content.get("versions", {}).get(task)) for task in answers}
    judges = {task: ", ".join(sorted({record.judge for record in records})) for task, records in answers.items()}
    return {
        "model": file.names[0],
        "results file": file.path.name,
        "tasks": ", ".join(answers),
        "judge": _shared(judges),
        "decoding": _shared(decoding),
        "generation": _shared(generation),
        "seeds": seeds,
        "batch size": str(config.get("batch_size")),
        "task version": _shared(versions),
        **{name: str(config[name]) for name in _PROVENANCE if name in config},
        "code (branch@commit, as lmms-eval saw it)": str(file.content.get("lmms_eval_version")),
    }


def _decoding(generation: Mapping[str, Any] | None) -> str:
    """How answers were decoded, in words, from what the harness handed to the model."""
    if generation is None:
        return "not said"
    temperature = generation.get("temperature")
    if not generation.get("do_sample") or temperature == 0:
        return "greedy"
    return f"sampled (temperature {1.0 if temperature is None else temperature}, top-p {generation.get('top_p', 1.0)})"


def _shared(values: Mapping[str, str]) -> str:
    """One value where all tasks have the same, else each task's."""
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    return "; ".join(f"{task}: {value}" for task, value in values.items())
