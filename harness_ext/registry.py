"""Every benchmark by name, the packaged ones and the user's, and all of their tasks.

Whatever reads a run, makes rows or draws a page finds here what a name stands for, and branches on none. A run of a benchmark
that is not on this machine is read by what its results say of it (:func:`remember`).
"""

import argparse
import functools
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness_ext.benchmark.base import (
    PUBLISHED_QUESTIONS,
    Benchmark,
    Concept,
    ImageCollection,
    Need,
    Question,
    TrainingSide,
)
from harness_ext.benchmark.probes import PROBES, Task, TaskGroup, TextVariant, groups_of, tasks_of
from harness_ext.common.errors import SourceError, UserError
from harness_ext.glyphworld.benchmark import Glyphworld
from harness_ext.own import read, user_folders
from harness_ext.own.folder import OPTION_VARIABLE
from harness_ext.records import Judgement, Manner
from harness_ext.unsafeconcepts.benchmark import UnsafeConcepts

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

    from harness_ext.benchmark.options import Options

PACKAGED: Final[tuple[Benchmark, ...]] = (UnsafeConcepts(), Glyphworld())
_remembered: Final[dict[str, Benchmark]] = {}
_left_out: Final[set[str]] = set()
_lenient = False


class _Recorded(Benchmark):
    """A benchmark of which only results are here."""

    offers = tuple(dict.fromkeys(need for probe in PROBES.values() for need in probe.needs if need != "capability"))

    def __init__(self, name: str, facts: Mapping[str, str]) -> None:
        self.name, self.title = name, facts.get("title", name)
        # Their wording is in the sample rows.
        self.questions = (Question("", ""),) * number_of_questions(facts)
        self.categories = tuple(filter(None, facts.get("categories", "").split(", ")))
        self._identity = {key: value for key, value in facts.items() if key not in ("title", "categories", "questions")}

    @property
    def identity(self) -> Mapping[str, str]:
        """As the results say."""
        return self._identity

    concepts: tuple[Concept, ...] = ()
    concepts_file = ""

    def _missing(self) -> SourceError:
        return SourceError(
            f"the benchmark {self.name} is not on this machine: only results of it are read here",
            "Name its folder by UNSAFECONCEPTS_BENCHMARKS=DIR.",
        )

    def check_access(self, needs: Collection[Need]) -> None:
        raise self._missing()

    def require(self, needs: Collection[Need]) -> None:
        raise self._missing()

    def rows(self, collection: ImageCollection, in_context: bool = False) -> "Dataset":
        raise self._missing()

    def image(self, collection: ImageCollection, row: int) -> "Image.Image":
        raise self._missing()

    def options(self, rows: "Dataset") -> Sequence["Options"]:
        raise self._missing()

    def training_side(self, renders: int, first_render: int) -> TrainingSide:
        raise self._missing()


def benchmarks() -> Mapping[str, Benchmark]:
    """All benchmarks by name: the packaged ones, the user's, and those that results were read of.

    Raises:
        UserError: A folder of the user holds no benchmark, or one whose tasks have the names of another's.
    """
    here = _here(tuple(PACKAGED), tuple(user_folders()), _lenient)
    here = {name: each for name, each in here.items() if name not in _left_out}
    return {**here, **{name: each for name, each in _remembered.items() if name not in here}}


@functools.cache
def _here(packaged: tuple[Benchmark, ...], folders: tuple[Path, ...], lenient: bool) -> dict[str, Benchmark]:
    found = {each.name: each for each in packaged}
    owner = {name: "this project" for each in packaged for name in _names_of(each)}
    for folder in folders:
        try:
            benchmark = read(folder)
            for name in _names_of(benchmark):
                if name in owner:
                    raise UserError(f"{folder}: {owner[name]} has {name!r} too; give one benchmark another name")
        except UserError:
            if not lenient:
                raise
        else:
            found[benchmark.name] = benchmark
            owner |= dict.fromkeys(_names_of(benchmark), str(folder))
    return found


def _names_of(benchmark: Benchmark) -> list[str]:
    return [*_tasks_of(benchmark), *_groups_of(benchmark)]


def owner_of(name: str) -> str:
    """The name of the benchmark that has a task or group ``name``; empty where none has."""
    return next((each.name for each in benchmarks().values() if name in _names_of(each)), "")


def leave_out_faulty(*names: str) -> None:
    """Leave out those of the user's benchmarks that are at fault, and those of ``names``, from here on."""
    global _lenient
    _lenient = True
    _left_out.update(names)


def take_folders(arguments: Sequence[str]) -> list[str]:
    """``arguments`` without ``--benchmark DIR``, as often as it is there; these benchmarks are known from here on.

    Raises:
        UserError: No folder follows, or it holds no benchmark; the message says everything that is wrong in it.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--benchmark", action="append", default=[])
    try:
        known, rest = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise UserError("--benchmark is not followed by a folder; expected --benchmark DIR") from error
    if known.benchmark:
        folders = [str(Path(folder).expanduser().absolute()) for folder in known.benchmark]
        os.environ[OPTION_VARIABLE] = "\n".join(folders)
    benchmarks()
    return rest


def described(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """What results say of the benchmarks of ``names``, tasks: title and digests by name, of those not packaged."""
    own = {task.source: task.benchmark for name in names if (task := find_task(name))}
    return {
        name: {
            "title": each.title,
            "categories": ", ".join(each.categories),
            "questions": str(len(each.questions)),
            **each.identity,
        }
        for name, each in own.items()
        if each not in PACKAGED
    }


def number_of_questions(facts: Mapping[str, str]) -> int:
    """How many alignment questions a benchmark has by what results tell of it."""
    said = facts.get("questions", "")
    return int(said) if said.isdecimal() and len(said) < 4 else len(PUBLISHED_QUESTIONS)


def remember(recorded: Mapping[str, Mapping[str, str]]) -> None:
    """Know the benchmarks that a results file tells of, where they are not on this machine."""
    for name, facts in recorded.items():
        if name not in benchmarks():
            _remembered[name] = _Recorded(name, facts)


def benchmark_named(name: str) -> Benchmark:
    """The benchmark of that name. Raises ``UserError`` where there is none."""
    if (found := benchmarks().get(name)) is None:
        raise UserError(
            f"no benchmark is named {name!r}; there are {', '.join(benchmarks())}; UNSAFECONCEPTS_BENCHMARKS=DIR adds yours"
        )
    return found


def title_of(name: str) -> str:
    """What a table calls a benchmark; its name where nothing else is known of it."""
    found = benchmarks().get(name)
    return found.full_title if found else name


def tasks() -> Mapping[str, Task]:
    """All tasks by name."""
    return {name: task for each in benchmarks().values() for name, task in _tasks_of(each).items()}


def groups() -> Mapping[str, TaskGroup]:
    """All groups of tasks by name."""
    return {name: group for each in benchmarks().values() for name, group in _groups_of(each).items()}


# A benchmark is one value for as long as the process lives.
_tasks_of = functools.cache(tasks_of)
_groups_of = functools.cache(groups_of)


def tasks_named(names: Iterable[str]) -> list[Task]:
    """Our tasks among ``names``, which are names of tasks or groups of any benchmark, or patterns with ``*`` of them."""
    known = {name: (task,) for name, task in tasks().items()} | {name: each.tasks for name, each in groups().items()}
    found = [task for name in names for each, named in known.items() if fnmatchcase(each, name) for task in named]
    return list(dict.fromkeys(found))


def source_of(task: str) -> str | None:
    """The name of a task's benchmark, ``None`` where it is none of ours."""
    found = find_task(task)
    return found.source if found else None


def find_task(name: str) -> Task | None:
    """The task of that name, ``None`` where it is none of this project's."""
    return next((found for each in benchmarks().values() if (found := _tasks_of(each).get(name))), None)


def task_in(source: str, name: str) -> str:
    """What the task ``name`` is called in the benchmark ``source``: the task of the same probe and manner.

    ``name`` itself where it is no task of this project, or ``source`` has no such task.
    """
    task = find_task(name)
    asked = _tasks_of(benchmark_named(source)).values() if task else ()
    return next((each.name for each in asked if task and (each.probe, each.manner) == (task.probe, task.manner)), name)


def task_named(name: str) -> Task:
    """The task of that name. Raises ``UserError`` where it is none of this project's."""
    if (found := find_task(name)) is None:
        raise UserError(f"{name}: expected a task of this project, as in `lmms_eval tasks list`")
    return found


def manner(task: str) -> Manner:
    """How a task asks. Raises ``UserError`` where it is none of this project's."""
    return task_named(task).manner


def text_variant(task: str) -> TextVariant:
    """What a text-only task shows beside its question. Raises ``UserError`` where it is no text-only task."""
    if (shows := task_named(task).probe.shows) == "image":
        raise UserError(f"{task}: expected a text-only task")
    return shows


def skill_of(record: Judgement) -> str:
    """The ability that an answer to a capability question is about."""
    return benchmark_named(record.source).capabilities[record.question].skill
