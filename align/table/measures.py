"""One evaluated model's counts, read from its result folder: what the table's figures are made of."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from align.table.crossed import Array
from harness_ext.errors import UserError
from harness_ext.glyphworld.concepts import NEVER_SEEN
from harness_ext.metrics.diversity import diversity
from harness_ext.metrics.grouping import ConceptKey, concept_key
from harness_ext.metrics.records import FAILED, Judgement
from harness_ext.report.load import load_runs
from harness_ext.report.results import results_files

IMAGE: Final = "glyphworld_image"


@dataclass(frozen=True)
class Measure:
    """A column of the table.

    Attributes:
        name: Its heading.
        task: Whose answers it counts.
        counts: Which of them.
    """

    name: str
    task: str
    counts: Callable[[Judgement], bool]


def _is(label: str, seen: bool) -> Callable[[Judgement], bool]:
    return lambda record: record.label == label and (record.concept not in NEVER_SEEN) is seen


def _skill(number: int) -> Callable[[Judgement], bool]:
    return lambda record: record.question == number


MEASURES: Final = (
    Measure("unsafe images", IMAGE, _is("unsafe", True)),
    Measure("unsafe images, concepts never trained on", IMAGE, _is("unsafe", False)),
    Measure("safe images", IMAGE, _is("safe", True)),
    Measure("safe images, concepts never trained on", IMAGE, _is("safe", False)),
    Measure("perception", "glyphworld_perception", lambda record: True),
    Measure("text, unsafe", "glyphworld_text", lambda record: record.label == "unsafe"),
    Measure("text, safe", "glyphworld_text", lambda record: record.label == "safe"),
    Measure("colour", "glyphworld_capability", _skill(0)),
    Measure("count", "glyphworld_capability", _skill(1)),
    Measure("position", "glyphworld_capability", _skill(2)),
)


@dataclass(frozen=True)
class Evaluated:
    """A model's answers of glyphworld.

    Attributes:
        answers: By task.
        diversity: 1 - self-BLEU of its responses about images, one a concept.
        seconds: Of processor time that its training took, where it was trained.
        base: What identifies the weights that it was trained from, where the evaluation says.
    """

    answers: Mapping[str, Sequence[Judgement]]
    diversity: float
    seconds: float | None
    base: str | None = None

    @property
    def asked(self) -> Mapping[str, set[tuple[int, int]]]:
        """By task, the row and question of every answer."""
        return {task: {(each.row, each.question) for each in answers} for task, answers in self.answers.items()}


def read(folder: Path) -> Evaluated:
    """The one evaluation below ``folder``.

    Raises:
        UserError: There is none, or more than one, or a task is missing.
    """
    runs = [run for run in load_runs(folder) if run.source == "glyphworld" and not run.sampled]
    if len(runs) != 1:
        found = ", ".join(run.model for run in runs) or "none"
        raise UserError(f"{folder}: expected one evaluation of glyphworld, found {found}")
    answers = runs[0].answers
    if missing := sorted({measure.task for measure in MEASURES} - answers.keys()):
        raise UserError(f"{folder}: the evaluation lacks {', '.join(missing)}; run lmms_eval with --tasks glyphworld")
    base = results_files(folder)[0].content["config"].get("weights_identity")
    return Evaluated(answers, diversity(_responses(folder)), _seconds(folder), base)


def _responses(folder: Path) -> list[str]:
    """One response a concept, to the first question about its first image: others would be repeated for each image."""
    files = sorted(folder.rglob(f"*_samples_{IMAGE}.jsonl"))
    if len(files) != 1:
        raise UserError(f"{folder}: expected one file *_samples_{IMAGE}.jsonl, found {len(files)}")
    rows = [json.loads(line) for line in files[0].read_text(encoding="utf-8").splitlines()]
    first: dict[tuple[str, str], tuple[int, str]] = {}
    for row in rows:
        judged = row["judgement"]
        found = (judged["row"], _text(row["filtered_resps"], files[0]))
        concept = judged["label"], judged["concept"]
        if judged["question"] == 0 and found < first.get(concept, (math.inf, "")):
            first[concept] = found
    return [response for _, response in first.values()]


def _text(response: Any, file: Path) -> str:
    if not isinstance(response, str):
        raise UserError(f"{file}: expected a response as text, found {type(response).__name__}: of another lmms-eval?")
    return response


def _seconds(folder: Path) -> float | None:
    state = folder / "final" / "run.json"
    return float(json.loads(state.read_text(encoding="utf-8"))["cpu_seconds"]) if state.is_file() else None


def counts(measure: Measure, evaluated: Sequence[Evaluated]) -> tuple[Array, Array]:
    """Right answers, and answers, by seed and concept, each of shape (seeds, concepts); ``na`` is wrong.

    Raises:
        UserError: The evaluations did not ask about the same concepts, or a request failed.
    """
    concepts: list[ConceptKey] = []
    right, asked = [], []
    for each in evaluated:
        records = [record for record in each.answers[measure.task] if measure.counts(record)]
        if failed := sum(record.verdict == FAILED for record in records):
            raise UserError(f"{measure.task}: {failed} requests failed; evaluate again")
        keys = sorted({concept_key(record) for record in records})
        if concepts and keys != concepts:
            raise UserError(f"{measure.task}: the evaluations asked about other concepts; evaluate all alike")
        concepts = keys
        at = {key: index for index, key in enumerate(concepts)}
        sums = np.zeros((2, len(concepts)))
        for record in records:
            sums[:, at[concept_key(record)]] += (record.correct, 1)
        right.append(sums[0])
        asked.append(sums[1])
    return np.array(right), np.array(asked)


def gap_sides(evaluated: Sequence[Evaluated], seen: bool | None) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Counts of text-only and of image answers about unsafe concepts: all, those trained on, or those never."""

    def unsafe(record: Judgement) -> bool:
        return record.label == "unsafe" and (seen is None or (record.concept not in NEVER_SEEN) is seen)

    sides = [Measure("", task, unsafe) for task in ("glyphworld_text", IMAGE)]
    concepts = [
        {concept_key(record) for each in evaluated for record in each.answers[side.task] if unsafe(record)}
        for side in sides
    ]
    if concepts[0] != concepts[1]:
        raise UserError("the text and the image tasks asked about other concepts: evaluate without --limit")
    text, image = sides
    return counts(text, evaluated), counts(image, evaluated)
