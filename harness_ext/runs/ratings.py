"""Ratings of answers from 1 to 5: read and written here, a file for each task and rater beside the task's samples.

``<date>_quality_<task>__<rater>.jsonl`` begins with a line of provenance (:class:`Head`); every other line is one answer
(:class:`Rated`), written before the next one is asked for. A later line about an answer replaces an earlier one.
"""

import glob
import json
import random
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from loguru import logger
from pydantic import Field, TypeAdapter, ValidationError

from harness_ext import __version__
from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed
from harness_ext.common.files import alone_with, append_text, require_writable, sha256, whole_lines, write_text
from harness_ext.common.options import problem
from harness_ext.common.reading import parse_as, read_lines
from harness_ext.judges.base import AlignmentAnswer, BatchJudge, RatedAnswer
from harness_ext.judges.envelope import opened
from harness_ext.judges.llm.prompt import rubric_text
from harness_ext.metrics.units import ConceptKey
from harness_ext.records import FAILED, GENERATED, Judgement, Label, is_known
from harness_ext.registry import find_task
from harness_ext.runs.answers import read_saved
from harness_ext.runs.evaluations import RunFiles, open_run

# What names an answer in a task: probe, label, concept, row and question.
Key = tuple[str, Label, str, int, int]
CRITERIA: Final = ("soundness", "informativeness")
# A rating by each of the criteria.
Grade = Annotated[int, Field(ge=1, le=5)]
Grades = tuple[Grade, Grade]
# The probe whose answers are rated where no task is named: TEST, or image alignment where it was not asked.
_USUAL: Final = ("test", "image")


@dataclass(frozen=True)
class Head:
    """What the ratings of a file rest on.

    Attributes:
        rater: The judge's name, or ``people:NAME``.
        rubric: The rubric's version.
        rubric_sha256: The digest of its text.
        samples_sha256: The digest of the task's sample file.
        answers: How many answers the task has; requests that failed are left out.
        seed: Of the order in which they are rated.
        options: The judge's options as they were given.
        made_with: This project's version.
    """

    rater: str
    rubric: str
    rubric_sha256: str
    samples_sha256: str
    answers: int
    seed: int
    options: Mapping[str, str]
    made_with: str = __version__


@dataclass(frozen=True)
class Rated:
    """One answer and its grades; ``None`` where the judge failed."""

    answer: Key
    grades: Grades | None


@dataclass(frozen=True)
class Ratings:
    """One rater's grades of the answers to one task, and how many answers the judge failed on."""

    head: Head
    of: Mapping[Key, Grades]
    failed: int

    def by(self, criterion: str) -> list[tuple[ConceptKey, int]]:
        """The concept of each answer, and its grade by one of ``CRITERIA``."""
        return [(key[1:3], grades[CRITERIA.index(criterion)]) for key, grades in self.of.items()]


# --- the answers ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RateableTask:
    """The answers to one task of a run.

    Attributes:
        run: The run's folder, as it was given.
        task: The task.
        samples: The file of its samples.
        samples_sha256: Its digest.
        answers: The answers in the order in which they are rated, drawn by ``seed``, as raters see them: out of their
            envelopes, with what is shown where that is known of all of them, without label and verdict.
        seed: See there.
    """

    run: Path
    task: str
    samples: Path
    samples_sha256: str
    answers: Mapping[Key, RatedAnswer]
    seed: int

    def head(self, rater: str, rubric: str, options: Mapping[str, str]) -> Head:
        """The provenance of ratings by ``rater``."""
        text, answers = sha256(rubric_text(rubric)), len(self.answers)
        return Head(rater, rubric, text, self.samples_sha256, answers, self.seed, options)


def rateable_tasks(folder: Path, wanted: Collection[str] = (), seed: int = 0) -> list[RateableTask]:
    """The tasks of a run whose answers can be rated: generated answers to alignment questions.

    Args:
        folder: The ``--output_path`` of evaluations of one model by lmms-eval with ``--log_samples``.
        wanted: Only these tasks and groups, where ``*`` stands for anything; TEST by default, or image alignment without it.
        seed: Of the order of the answers.

    Raises:
        UserError: Naming the folder or file: nothing can be rated, or something is missing or broken.
    """
    run = open_run(folder, wanted)
    found = {
        task: asked.probe.name
        for task, evaluation in run.tasks.items()
        if (asked := find_task(task)) and evaluation.harness == "lmms-eval"
        if asked.probe.asks == "alignment" and asked.way == GENERATED
    }
    usual = next((probe for probe in _USUAL if probe in found.values()), None)
    chosen = [task for task, probe in found.items() if wanted or probe == usual]
    if not chosen:
        raise UserError(
            f"{folder}: expected generated answers to {'the tasks named' if wanted else 'TEST or to image alignment'}, "
            f"found {', '.join(found or run.tasks)}. Choose with --task among alignment tasks by lmms-eval."
        )
    return [_rateable(run, task, seed) for task in chosen]


def _rateable(run: RunFiles, task: str, seed: int) -> RateableTask:
    evaluation = run.tasks[task]
    path = evaluation.require_samples(task)
    found: dict[Key, RatedAnswer | None] = {}
    rows = list(read_saved(evaluation, task))
    # Named for some images only, of one label, the concept would tell raters the label.
    named = all(is_known(saved.record.concept) for saved in rows)
    for saved in rows:
        if (key := _key(saved.record)) in found:
            raise UserError(f"{path}: {' '.join(map(str, key))} is answered twice. Run the evaluation again.")
        answer, found[key] = saved.answer, None
        if isinstance(answer, AlignmentAnswer) and not request_failed(saved.record, answer.response):
            shown = saved.record.concept if named else ""
            response = opened(answer.response).answer
            found[key] = RatedAnswer(answer.question, response, answer.prompt, shown, yes=answer.yes)
    answers = {key: answer for key in in_drawn_order(found, seed) if (answer := found[key]) is not None}
    if not answers:
        raise UserError(f"{path}: every request failed, there is no answer to rate")
    return RateableTask(run.path, task, path, sha256(path), answers, seed)


def request_failed(record: Judgement, response: str) -> bool:
    """Whether there is no answer because the request failed; where only the judge failed, there is one."""
    return is_failed(response) or (record.verdict == FAILED and not response.strip())


def in_drawn_order(keys: Iterable[Key], seed: int) -> list[Key]:
    """Answers in an order drawn by ``seed`` alone, whose every beginning is balanced by label and, within one, by concept."""
    drawn = sorted(keys)
    random.Random(seed).shuffle(drawn)
    concepts: dict[ConceptKey, list[Key]] = {}
    for key in drawn:
        concepts.setdefault(key[1:3], []).append(key)
    labels: dict[str, list[list[Key]]] = {}
    for (label, _), of_concept in concepts.items():
        labels.setdefault(label, []).append(of_concept)
    return list(_in_turns(list(_in_turns(of_label)) for of_label in labels.values()))


_Item = TypeVar("_Item")


def _in_turns(lists: Iterable[Sequence[_Item]]) -> Iterator[_Item]:
    """The first of each list, then the second of each, until all are empty."""
    every = list(lists)
    for at in range(max(map(len, every), default=0)):
        yield from (each[at] for each in every if at < len(each))


def _key(record: Judgement) -> Key:
    return record.probe, record.label, record.concept, record.row, record.question


# --- writing ----------------------------------------------------------------------------------------------------------


def ratings_file(task: RateableTask, rater: str) -> Path:
    """Where the ratings of a task by a rater lie."""
    date = task.samples.name.partition("_samples_")[0]
    slug = re.sub(r"[^A-Za-z0-9._+-]+", "-", rater)
    return task.samples.with_name(f"{date}_quality_{task.task}__{slug}.jsonl")


def rate(
    tasks: Sequence[RateableTask], judge: BatchJudge, rubric: str, options: Mapping[str, str], limit: int | None = None
) -> None:
    """Have a judge rate the first ``limit`` answers of each task; what was rated is kept, what had failed is asked again.

    Raises:
        UserError: A file cannot be written, holds ratings of something else, or the judge failed on every answer of a task.
    """
    heads = {ratings_file(task, judge.name): (task, task.head(judge.name, rubric, options)) for task in tasks}
    require_writable(heads)
    with ExitStack() as locks:
        asked: list[tuple[Path, Key]] = []
        for path, (task, head) in heads.items():
            locks.enter_context(alone_with(path))
            known = _kept(path, head)
            if strange := known.keys() - task.answers.keys():
                raise UserError(f"{path}: rates {next(iter(strange))}, which is not among the answers. Move it away.")
            asked += [(path, key) for key in list(task.answers)[:limit] if key not in known]
        said = judge.judge([heads[path][0].answers[key] for path, key in asked])
        for (path, key), rating in zip(asked, said, strict=True):
            head = heads[path][1]
            append_text(
                path,
                ("" if path.exists() and path.stat().st_size else _line(head)) + _line(Rated(key, _grades(rating))),
            )
    for path, (task, head) in heads.items():
        if not (found := _read(path, task.samples_sha256)).of:
            raise UserError(
                f"{judge.name} failed on every answer of {task.task}, {found.failed} of {head.answers}: {path}"
            )


def _kept(path: Path, head: Head) -> Mapping[Key, Grades]:
    """The ratings that a file has. Raises ``UserError`` where they are not such as ``head`` says."""
    if not whole_lines(path):
        return {}
    before = _read(path, head.samples_sha256)
    if _identity(before.head) != _identity(head):
        raise UserError(
            f"{path}: expected ratings by {_identity(head)}, found ratings by {_identity(before.head)}. Move it away to rate "
            "anew, or give the same --seed."
        )
    return before.of


def write_people(task: RateableTask, rater: str, rubric: str, seed: int, ratings: Mapping[Key, Grades]) -> None:
    """Write what a person rated, beside what the same person rated before; ``seed`` drew the answers.

    Raises ``UserError`` where that was of other samples, by another rubric or another draw, or graded an answer otherwise.
    """
    path, head = ratings_file(task, rater), replace(task.head(rater, rubric, {}), seed=seed)
    before = _kept(path, head)
    if changed := [key for key, grades in ratings.items() if before.get(key, grades) != grades]:
        raise UserError(
            f"{path}: has other grades of {len(changed)} of these answers, the first {changed[0]}. Is it another person's "
            "file of the same name? Rename it; or move the old ratings away to replace them."
        )
    every = {**before, **ratings}
    write_text(path, "".join([_line(head), *(_line(Rated(*each)) for each in every.items())]))


def _grades(rating: str) -> Grades | None:
    if rating == FAILED:
        return None
    soundness, informativeness = map(int, rating.split())
    return soundness, informativeness


def _line(row: Head | Rated) -> str:
    return json.dumps(asdict(row), ensure_ascii=False) + "\n"


def _identity(head: Head) -> str:
    return f"{head.rater}, rubric {head.rubric} {head.rubric_sha256[:8]}, seed {head.seed}"


# --- reading ----------------------------------------------------------------------------------------------------------

_HEAD: Final = TypeAdapter(Head)
_RATED: Final = TypeAdapter(Rated)


def read_ratings(samples: Path) -> list[Ratings]:
    """The ratings that lie beside a task's file of samples, by the rater's name; none where nobody rated.

    Raises:
        UserError: Naming file and line, for what is not as this project writes it, or is of other samples.
    """
    date, _, task = samples.stem.partition("_samples_")
    files = samples.parent.glob(f"{glob.escape(f'{date}_quality_{task}__')}*.jsonl")
    found = []
    for path in files:
        if next(read_lines(path, whole=True), None):
            found.append(_read(path, sha256(samples)))
        else:
            logger.warning(f"{path}: left out: it was just begun, or cut off, and has no whole line")
    return sorted(found, key=lambda each: each.head.rater)


def _read(path: Path, samples_sha256: str) -> Ratings:
    (number, first), *lines = read_lines(path, whole=True)
    head = _parsed(_HEAD, number, first, path)
    if head.samples_sha256 != samples_sha256:
        raise UserError(f"{path}: rates other answers than those beside it. Move it away, and rate these anew.")
    # The last line about an answer counts.
    rated = {each.answer: each.grades for each in (_parsed(_RATED, *line, path) for line in lines)}
    found = {key: grades for key, grades in rated.items() if grades}
    return Ratings(head, found, len(rated) - len(found))


def _parsed(adapter: TypeAdapter[Any], number: int, line: str, path: Path) -> Any:
    try:
        return parse_as(adapter, line, path, number)
    except ValidationError as error:
        raise UserError(f"{path}, line {number}: not a rating of this version: {problem(error)}") from error
