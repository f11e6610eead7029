"""Answers that somebody else's run gave, as a result folder that every other command reads.

A file has the form in which the authors published theirs (github.com/TrustAIRLab/SaferVLM at 4246835, ``outputs``): a JSON
list of objects with ``idx``, ``prompt``, ``image_fname`` and ``output``, one an answer. Its name says the task. Rows,
concepts and questions are put beside the answers from the benchmark, and every answer must be one to a question of the task.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

from datasets import Dataset
from pydantic import BaseModel, BeforeValidator, TypeAdapter, ValidationError
from tqdm import tqdm

from harness_ext import __version__
from harness_ext.benchmark.probes import Task
from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.benchmark.splits import drawn_questions
from harness_ext.common.errors import SourceError, UserError
from harness_ext.common.files import new_folder, require_writable_folder, sha256, write_text
from harness_ext.common.reading import Unreadable, parse_json, read_text
from harness_ext.judges.base import verdicts
from harness_ext.judges.envelope import VERSION, opened
from harness_ext.judges.rules import RuleJudge
from harness_ext.metrics.diversity import diversity
from harness_ext.probes.metrics import answer_of, per_answer_metrics
from harness_ext.probes.rows import rows_of_task
from harness_ext.records import NA, SAFE, UNSAFE, Judgement, image_as_concept, of_the_question
from harness_ext.registry import find_task
from harness_ext.runs.evaluations import ENVELOPE, IMPORTED_FROM, WITHOUT_LABELS
from harness_ext.runs.rejudge import task_results
from harness_ext.unsafeconcepts.sets import SETS
from harness_ext.unsafeconcepts.splits import SPLIT, safe_split, unsafe_split
from harness_ext.unsafeconcepts.taxonomy import CONCEPTS, NUM_IMAGES

_SUFFIX: Final = "_result.json"
_CONTEXTS: Final = "_contexts"
# The authors' names of their files; every other file is named after its task, as in unsafeconcepts_image_result.json.
_PUBLISHED_NAMES: Final[Mapping[str, str]] = {
    "UnsafeConcepts_TEST": "unsafeconcepts_test",
    "SMID": "unsafeconcepts_smid",
    "NSFW": "unsafeconcepts_nsfw",
    "NSFWDataset": "unsafeconcepts_nsfw",
    "context_safe": "unsafeconcepts_context_safe",
    "context_unsafe": "unsafeconcepts_context_unsafe",
}
# The authors' files of other benchmarks, whose answers are not judged here.
_OTHER_BENCHMARKS: Final = ("MME", "LLaVABench")
_SAFE_FOLDER: Final = "imagenet_1k"
# How many images the data sets have on the hub.
_SIZES: Final[Mapping[str, int]] = {"smid": 2941, "nsfw": 1800}
_NUMBER: Final = re.compile(r"0*(\d+)")


class Given(BaseModel):
    """One answer of a file."""

    idx: Annotated[str, BeforeValidator(str)]
    prompt: str
    image_fname: str
    output: str

    @property
    def safe(self) -> bool:
        """Whether the image is one of the safe ones, by the folder that it lies in."""
        return _SAFE_FOLDER in Path(self.image_fname).parts

    @property
    def number(self) -> int:
        """The number in the image's file name. Raises ``ValueError`` where it has none."""
        if (match := _NUMBER.fullmatch(Path(self.image_fname).stem)) is None:
            raise ValueError(f"expected an image file named by its number, found {self.image_fname!r}")
        return int(match[1])


_GIVEN: Final = TypeAdapter(list[Given])


@dataclass(frozen=True)
class Imported:
    """What came of one method's files.

    Attributes:
        folder: The new result folder.
        answers: How many answers of each task were read.
        notes: What was left out, or has no labels.
    """

    folder: Path
    answers: Mapping[str, int]
    notes: tuple[str, ...]


def import_answers(
    source: Path,
    output: Path,
    name: str | None = None,
    generation: Mapping[str, Any] | None = None,
    partial: bool = False,
) -> list[Imported]:
    """Make result folders of the answers below ``source``, read by the rule judge.

    Args:
        source: A folder of ``*_result.json`` files, which are one model's; or a folder of such folders, one a model, where
            ``NAME_contexts`` belongs to ``NAME``.
        output: The new result folder; for several models each gets a folder in it.
        name: The model's name in results, the folder's by default; only for a folder of one model.
        generation: How the answers were decoded, in the keys of transformers' ``generate``; ``None`` where nobody said.
        partial: Whether a file may lack answers; results then say how many were asked.

    Raises:
        UserError: Naming the file, and the entry where there is one: nothing to import, a file that does not fit, or a result
            folder that is there already.
    """
    found = _methods(source)
    single = list(found) == [source]
    if name is not None and not single:
        raise UserError(f"--name {name}: {source} holds {len(found)} models; import one of their folders")
    places = {folder: output if single else output / folder.name for folder in found}
    for place in places.values():
        if place.exists():
            raise UserError(f"{place}: is there already. Delete it, or choose another name with -o.")
    require_writable_folder(output if not single else output.parent)
    # Every file is checked before anything is written.
    checked = {folder: [each for file in files if (each := _checked(file, partial))] for folder, files in found.items()}
    for tasks in checked.values():
        of: dict[str, Path] = {}
        for each in tasks:
            if (other := of.setdefault(each.task.name, each.file)) != each.file:
                raise UserError(f"{each.file}: {other} holds answers to {each.task.name} too, expected one file.")
    return [
        _write(folder, tasks, places[folder], name or folder.resolve().name, generation)
        for folder, tasks in checked.items()
    ]


def _methods(source: Path) -> dict[Path, list[Path]]:
    """Each model's folder with its files."""
    if not source.is_dir():
        raise UserError(
            f"{source}: no such folder. Expected one with *{_SUFFIX} files, or with a folder of them a model."
        )
    if own := sorted(source.glob(f"*{_SUFFIX}")):
        return {source: own}
    found: dict[Path, list[Path]] = {}
    for folder in sorted(each for each in source.iterdir() if each.is_dir()):
        if files := sorted(folder.glob(f"*{_SUFFIX}")):
            method = folder.with_name(folder.name.removesuffix(_CONTEXTS) or folder.name)
            found.setdefault(method, []).extend(files)
    if not found:
        raise UserError(
            f"{source}: no *{_SUFFIX} in it, nor in a folder of it. Expected answers in the published form."
        )
    return found


# --- one file against its task ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Checked:
    """A file whose every answer is one to a question of its task.

    Attributes:
        file: The file.
        task: The task.
        answered: The rows of the task that were answered, in the task's order, each with its answer.
        asked: How many rows the task has.
        unlabelled: Why the labels are not at hand; empty where they are.
    """

    file: Path
    task: Task
    answered: Sequence[tuple[Mapping[str, Any], Given]]
    asked: int
    unlabelled: str


def _checked(file: Path, partial: bool) -> _Checked | None:
    """The file's answers beside the rows of its task; ``None`` for another benchmark's file."""
    named = file.name.removesuffix(_SUFFIX)
    if named in _OTHER_BENCHMARKS:
        return None
    task = find_task(_PUBLISHED_NAMES.get(named, named))
    if task is None or task.manner != "greedy" or task.source != "unsafeconcepts":
        expected = ", ".join([*_PUBLISHED_NAMES, *_OTHER_BENCHMARKS])
        raise UserError(
            f"{file}: the name says no task. Expected {expected} or a task's name, as in unsafeconcepts_image, "
            f"before {_SUFFIX}."
        )
    given = read_given(file)
    places = _places(task, given, file)
    rows, unlabelled = _rows(task, given, [number for _, number in places], file)
    by_question = {
        (row["label"] if task.probe.collection == "test" else "", row["row"], row["prompt"]): row for row in rows
    }
    found: dict[tuple[str, int, str], Given] = {}
    for entry, place in zip(given, places, strict=True):
        key = (*place, entry.prompt)
        if task.probe.shows != "image":
            # The concept is in the question; the image is a blank one.
            key = next((each for each in by_question if each[2] == entry.prompt), key)
        if key not in by_question:
            raise UserError(f"{file}, idx {entry.idx}: {_misfit(task, entry, by_question, place)}")
        if key in found:
            raise UserError(
                f"{file}, idx {entry.idx}: {entry.image_fname} with {entry.prompt!r} is there twice, also at idx "
                f"{found[key].idx}; expected once."
            )
        found[key] = entry
    each_asked = 1 if task.probe.drawn else task.probe.questions(task.benchmark)
    available = max(len(by_question), each_asked * _SIZES.get(task.probe.collection, 0))
    if len(found) < available and not partial:
        missing = [f"; the first that is missing: row {key[1]}, {key[2]!r}" for key in by_question if key not in found]
        raise UserError(
            f"{file}: expected {available} answers, found {len(found)}{''.join(missing[:1])}. Import what is there with "
            "--partial."
        )
    answered = [(row, found[key]) for key, row in by_question.items() if key in found]
    return _Checked(file, task, answered, available, unlabelled)


def read_given(file: Path) -> list[Given]:
    """The answers of a file. Raises ``UserError``, naming the file and the entry, where it has another form."""
    try:
        given = _GIVEN.validate_python(parse_json(read_text(file), file))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{file}, entry {where or 'none'}: {first['msg']}. Expected a list of objects with idx, prompt, image_fname and "
            "output, all text."
        ) from error
    except Unreadable as error:
        raise UserError(f"{error}. Expected a JSON list of answers.") from error
    if not given:
        raise UserError(f"{file}: holds no answer.")
    if twice := [idx for idx, times in Counter(entry.idx for entry in given).items() if times > 1]:
        raise UserError(f"{file}: idx {twice[0]} is there twice, expected once.")
    return given


def _rows(task: Task, given: Sequence[Given], numbers: Sequence[int], file: Path) -> tuple[list[dict[str, Any]], str]:
    """The task's rows without images, from the benchmark's own lists; and why they have no labels, if they have none.

    ``numbers`` are the images' rows in the file's order.
    """
    concepts = Dataset.from_dict(
        {"concept": [each.name for each in CONCEPTS], "category": [each.category for each in CONCEPTS]}
    )
    unlabelled = ""
    collection = task.probe.collection
    if task.probe.shows != "image":
        images = None
    elif collection in ("smid", "nsfw"):
        asked = _asked_images(task, given, numbers, file)
        try:
            images = task.benchmark.rows(collection).select(asked)
        except SourceError as error:
            unlabelled = error.args[0]
            title = SETS[collection].title
            images = _images([(at, image_as_concept(title, at), title, UNSAFE) for at in asked])
    else:
        unsafe = [(each.name, each.category) for each in CONCEPTS for _ in range(each.images)]
        rows = [(at, concept, category, UNSAFE) for at, (concept, category) in enumerate(unsafe)]
        if collection == "test":
            title = SETS["safe"].title
            rows = [rows[at] for at in unsafe_split().test]
            if not task.probe.context:
                rows += [(NUM_IMAGES + at, image_as_concept(title, at), title, SAFE) for at in safe_split().test]
        images = _images(rows)
    return list(rows_of_task(task, concepts, images)), unlabelled


def _asked_images(task: Task, given: Sequence[Given], numbers: Sequence[int], file: Path) -> Sequence[int]:
    """The images of SMID or NSFW in the order for which their questions were drawn: all, or the file's in its order."""
    size = _SIZES[task.probe.collection]
    if outside := [number for number in numbers if number >= size]:
        raise UserError(f"{file}: expected images 0 to {size - 1}, found {outside[0]}.")
    drawn = [IMAGE_QUESTIONS[question] for question in drawn_questions(size)]
    of_all = all(drawn[number] == entry.prompt for entry, number in zip(given, numbers, strict=True))
    if not task.probe.drawn or len(given) >= size or of_all:
        return range(size)
    if twice := [number for number, times in Counter(numbers).items() if times > 1]:
        raise UserError(f"{file}: image {twice[0]} is there twice, expected once.")
    return numbers


def _images(rows: Sequence[tuple[int, str, str, str]]) -> Dataset:
    row, concept, category, label = map(list, zip(*rows, strict=True))
    source = ["unsafeconcepts"] * len(row)
    return Dataset.from_dict({"row": row, "concept": concept, "category": category, "label": label, "source": source})


def _places(task: Task, given: Sequence[Given], file: Path) -> list[tuple[str, int]]:
    """Each answer's label, where the task has images of both, and its image's row.

    The numbers in the file names of the published safe images skip some: the images are all there in the order of their
    numbers, and so are their rows.
    """
    numbers = []
    for entry in given:
        try:
            numbers.append(entry.number if task.probe.shows == "image" else 0)
        except ValueError as error:
            raise UserError(f"{file}, idx {entry.idx}: {error}.") from error
    if task.probe.collection != "test" or task.probe.context:
        label = UNSAFE if task.probe.collection == "test" else ""
        return [(label, number) for number in numbers]
    rows = sorted(NUM_IMAGES + at for at in safe_split().test)
    shown = sorted({number for entry, number in zip(given, numbers, strict=True) if entry.safe})
    if len(shown) != len(rows):
        raise UserError(
            f"{file}: expected {len(rows)} safe images (in a folder {_SAFE_FOLDER}), found {len(shown)}: TEST has as many of "
            "them as unsafe ones, and which row each is can only be told from all of them."
        )
    row_of = dict(zip(shown, rows, strict=True))
    return [
        (SAFE, row_of[number]) if entry.safe else (UNSAFE, number) for entry, number in zip(given, numbers, strict=True)
    ]


def _misfit(task: Task, entry: Given, rows: Mapping[tuple[str, int, str], Any], place: tuple[str, int]) -> str:
    prompts = [prompt for *other, prompt in rows if tuple(other) == place]
    if task.probe.shows != "image":
        return f"no question of {task.name}: {entry.prompt!r}."
    if not prompts:
        return f"{entry.image_fname} is none of the images of {task.name}."
    return (
        f"expected {' or '.join(map(repr, prompts))} about {entry.image_fname} ({task.name}), found {entry.prompt!r}."
    )


# --- the result folder ------------------------------------------------------------------------------------------------


def _write(
    source: Path, tasks: Sequence[_Checked], place: Path, name: str, generation: Mapping[str, Any] | None
) -> Imported:
    if not tasks:
        raise UserError(
            f"{source}: no file of this project's tasks in it; {' and '.join(_OTHER_BENCHMARKS)} are not read."
        )
    date = datetime.now().strftime("%Y%m%d_%H%M%S")
    content: dict[str, Any] = {
        "results": {},
        "group_subtasks": {},
        "configs": {},
        "versions": {},
        "n-samples": {},
        "config": {"model": name, "model_args": "", ENVELOPE: VERSION, IMPORTED_FROM: str(source.resolve())},
        "imported": {
            "unsafeconcepts_version": __version__,
            "files": {str(each.file.relative_to(source.parent)): sha256(each.file) for each in tasks},
        },
        WITHOUT_LABELS: {},
    }
    if any(each.task.probe.collection == "test" for each in tasks):
        content["config"]["test_split"] = SPLIT
    notes = []
    with (
        new_folder(place) as part,
        tqdm(total=sum(len(each.answered) for each in tasks), desc=name, disable=None) as bar,
    ):
        for each in tasks:
            records = list(_judged(each, bar))
            if each.unlabelled:
                shares = _shares(records)
                content[WITHOUT_LABELS][each.task.name] = shares
                notes.append(f"{each.task.name}: no labels at hand ({each.unlabelled}); only the shares are kept.")
                continue
            responses = [given.output for _, given in each.answered]
            results = task_results({"alias": each.task.name}, records)
            if each.task.probe.na == "wrong":
                results["diversity,none"] = diversity(responses)
            content["results"][each.task.name] = results
            content["configs"][each.task.name] = {"task": each.task.name, "generation_kwargs": generation}
            content["n-samples"][each.task.name] = {"original": each.asked, "effective": len(records)}
            lines = [_line(*pair) for pair in zip(each.answered, records, strict=True)]
            text = "".join(
                json.dumps({"doc_id": at} | line, ensure_ascii=False) + "\n" for at, line in enumerate(lines)
            )
            write_text(part / f"{date}_samples_{each.task.name}.jsonl", text)
        write_text(part / f"{date}_results.json", json.dumps(content, indent=2, ensure_ascii=False))
    return Imported(place, {each.task.name: len(each.answered) for each in tasks}, tuple(notes))


def _judged(checked: _Checked, bar: "tqdm[Any]") -> Iterator[Judgement]:
    judge = RuleJudge()
    answers = [answer_of(row, given.output) for row, given in checked.answered]
    for (row, given), verdict in zip(checked.answered, verdicts(judge, answers), strict=True):
        cut_off = verdict == NA and opened(given.output).cut_off
        yield Judgement(**of_the_question(row), verdict=verdict, judge=judge.name, cut_off=cut_off)
        bar.update()


def _line(answered: tuple[Mapping[str, Any], Given], record: Judgement) -> dict[str, Any]:
    """A sample row as lmms-eval writes it."""
    row, given = answered
    about = {"target": row["expected"], "filtered_resps": given.output, "input": given.prompt}
    media = {"input_media": [Path(given.image_fname).name]}
    return about | media | per_answer_metrics(record) | {"judgement": record.to_dict()}


def _shares(records: Sequence[Judgement]) -> dict[str, float]:
    counts = Counter(record.verdict for record in records)
    return {"answers": len(records)} | {verdict: counts[verdict] / len(records) for verdict in (UNSAFE, SAFE, NA)}
