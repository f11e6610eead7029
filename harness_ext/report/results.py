"""lmms-eval's results files, ``<date>_results.json``: which model was asked what, and how."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loguru import logger

from harness_ext.benchmark import SOURCES
from harness_ext.common.errors import UserError
from harness_ext.report.samples import NotWhole
from harness_ext.report.scores import MANNERS, Manner, manner

# What our plugin writes into the results file beside what the harness does.
_MODEL: Final = ("weights", "revision", "adapter", "dtype")
_SOURCES: Final = ("unsafeconcepts_source", "test_source", "smid_source", "nsfw_source", "glyphworld_source")
# Of a run whose answers were judged again (harness_ext/rejudge): by whom, and whose answers they are.
JUDGED_BY: Final = "judged_by"
JUDGED_FROM: Final = "judged_from"
_PROVENANCE: Final = (
    *_MODEL,
    *_SOURCES,
    "prefix_sharing",
    "unsafeconcepts_version",
    "made_with",
    JUDGED_BY,
    JUDGED_FROM,
)
_RESULTS: Final = re.compile(r"(\d{8}_\d{6})_results\.json")


@dataclass(frozen=True)
class ResultsFile:
    """One results file.

    Attributes:
        path: The file.
        date: The date in its name, which the sample files beside it bear too.
        content: What it holds.
    """

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
        if judge := config.get(JUDGED_BY):
            # Two readings of the same answers are never one run, nor the older and the newer of one.
            full = f"{full}, judged again by {judge}"
        return full, name, str(self.content.get("model_name") or name)

    @property
    def model(self) -> Mapping[str, Any]:
        """What the model's name stood for: two files of one name can be of different weights."""
        return {name: self.content["config"].get(name) for name in _MODEL}

    def tasks(self, source: str, asked: Manner, only: Collection[str]) -> list[str]:
        """The tasks of one source and manner of asking; of these, where ``only`` names some, those."""
        return [
            task
            for task in self.content["n-samples"]
            if task.startswith(f"{source}_") and manner(task) == asked and (not only or task in only)
        ]

    @property
    def asked(self) -> set[tuple[str, Manner]]:
        """The sources that were asked about, and in which manner: a run is of one of each."""
        return {(source, asked) for source in SOURCES for asked in MANNERS if self.tasks(source, asked, ())}

    def samples(self, task: str) -> Path:
        """The file of a task's sample rows."""
        return self.path.with_name(f"{self.date}_samples_{task}.jsonl")

    def available(self, task: str) -> int:
        """How many documents the task has."""
        return int(self.content["n-samples"][task]["original"])

    def rows(self, task: str) -> int:
        """How many documents the run asked; the results file leaves the offset out of its count."""
        samples = self.content["n-samples"][task]
        return int(min(samples["effective"], max(0, samples["original"] - (self.content["config"].get("offset") or 0))))

    def diversity(self, tasks: Iterable[str]) -> dict[str, float]:
        """1 - self-BLEU of the responses to each of ``tasks`` that has it."""
        results = self.content.get("results", {})
        found = {task: results.get(task, {}).get("diversity,none") for task in tasks}
        return {task: float(value) for task, value in found.items() if isinstance(value, int | float)}

    def settings(self, judges: Mapping[str, Collection[str]]) -> dict[str, str]:
        """What was run, and how, for the reader of a table.

        Args:
            judges: The judges' names of each task that is shown.
        """
        config, configs = self.content["config"], self.content["configs"]
        seeds = ", ".join(f"{key.removesuffix('_seed')} {config[key]}" for key in config if key.endswith("_seed"))
        generation = {task: configs.get(task, {}).get("generation_kwargs") for task in judges}
        versions = self.content.get("versions", {})
        return {
            "model": self.names[0],
            "results file": self.path.name,
            "tasks": ", ".join(judges),
            "judge": _shared({task: ", ".join(sorted(names)) for task, names in judges.items()}),
            "decoding": _shared({task: _decoding(values) for task, values in generation.items()}),
            "generation": _shared({task: json.dumps(values) for task, values in generation.items()}),
            "seeds": seeds,
            "batch size": str(config.get("batch_size")),
            "task version": _shared({task: str(versions.get(task)) for task in judges}),
            **{name: str(config[name]) for name in _PROVENANCE if name in config},
            "code (branch@commit, as lmms-eval saw it)": str(self.content.get("lmms_eval_version")),
        }


def results_files(folder: Path) -> list[ResultsFile]:
    """Every results file below ``folder`` that is whole, see :func:`read_whole`; raises ``UserError`` for none, too."""
    dates = {path: match[1] for path in folder.rglob("*_results.json") if (match := _RESULTS.fullmatch(path.name))}
    files = [ResultsFile(path, dates[path], content) for path, content in read_whole(dates)]
    if not files:
        raise UserError(
            f"{folder}: no <date>_results.json in it. Expected the --output_path of an lmms-eval evaluation."
        )
    return files


def newest_first(files: Iterable[ResultsFile]) -> list[ResultsFile]:
    """By date."""
    return sorted(files, key=lambda file: file.date, reverse=True)


def read_whole(paths: Iterable[Path]) -> list[tuple[Path, dict[str, Any]]]:
    """What results files of one harness hold, in the order of their paths.

    One that was cut off while it was saved is left out, and named in a warning, where a newer whole one lies beside it.

    Raises:
        UserError: As :func:`read_results` does.
    """
    whole: list[tuple[Path, dict[str, Any]]] = []
    for path in sorted(paths, reverse=True):
        try:
            whole.append((path, read_results(path)))
        except NotWhole as error:
            if not any(newer.parent == path.parent for newer, _ in whole):
                raise
            logger.warning(f"left out, for newer results lie beside it: {error}")
    return whole[::-1]


def read_results(path: Path) -> dict[str, Any]:
    """What a results file of either harness holds.

    Raises:
        NotWhole: It is no JSON.
        UserError: It cannot be used. Both name it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        kind = UserError if isinstance(error, OSError) else NotWhole
        raise kind(
            f"{path}: cannot be read ({error}). Was the run cut off? Run it again or delete the file."
        ) from error
    config = content.get("config", {}) if isinstance(content, dict) else {}
    present = content.keys() | config.keys() if isinstance(config, dict) else set()
    if missing := sorted({"config", "configs", "n-samples", "model", "model_args"} - present):
        raise UserError(f"{path}: not a results file of this version of lmms-eval: {', '.join(missing)} missing")
    return content


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


def _shared(values: Mapping[str, str]) -> str:
    """One value where all tasks have the same, else each task's."""
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    return "; ".join(f"{task}: {value}" for task, value in values.items())
