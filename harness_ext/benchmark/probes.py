"""The one table of probes: what each asks, what it shows, and how its answers count; and the tasks that ask it.

The table is ``tasks/lmms_eval/probes.yaml``. A task is a probe, put to a benchmark's images or concepts in one manner. Its
name is looked up whole and never taken apart (``harness_ext.registry``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from harness_ext.benchmark import task_folder
from harness_ext.benchmark.base import Benchmark, ImageCollection, Need
from harness_ext.benchmark.questions import LETTERS
from harness_ext.common.errors import UserError
from harness_ext.common.options import problem
from harness_ext.records import (
    GENERATED,
    LIKELIHOOD,
    MANNERS,
    NO,
    SAFE,
    UNSAFE,
    YES,
    Label,
    Manner,
    Way,
)

Asks = Literal["perception", "alignment", "capability"]
# The two forms of a text-only question: nothing beside the text, or a blank image as the authors' code sends.
TextVariant = Literal["none", "blank"]
GapKind = Literal["general", "unsafe", "safe"]
# The pool of the answers of both labels to a probe of generalisation.
ALL: Final = "all"
SUFFIXES: Final[Mapping[Manner, str]] = {"greedy": "", "sampled": "_sampled", "likelihood": "_likelihood"}
_STRICT: Final = ConfigDict(extra="forbid", strict=False)


@checked_dataclass(frozen=True, config=_STRICT)
class Probe:
    """One row of the table.

    Attributes:
        name: In the names of its tasks, and in reports.
        title: For the reader of a table.
        record: What its judged answers bear as ``probe``; its name, unless it is another form of that probe.
        asks: Which of the questions: perception's, alignment's (about safety), or a capability's.
        shows: The row's image, a blank one, or none.
        collection: Which of the benchmark's images it shows, where it shows one.
        needs: What it reads of the benchmark beside the concepts' names; a benchmark that does not offer it has no such task.
        rows: The function of ``harness_ext.probes.rows`` that words its questions.
        manners: In which manners it is asked.
        unit: The unit of intervals: concepts, or in data without concepts images.
        na: How ``na`` counts in the paper's measure of it: left out (``"drop"``), or as wrong, then by label too.
        context: The context that it asks about; it gives the right verdict, in the place of the image's label.
        version: Of its tasks, raised when what they ask changes.
        task: Keys of the harness's task file that differ from ``task.yaml``.
    """

    name: str
    title: str
    record: str = ""
    asks: Asks = "alignment"
    shows: Literal["image", TextVariant] = "image"
    collection: ImageCollection = "all"
    needs: tuple[Need, ...] = ("images",)
    rows: str = "all_questions"
    manners: tuple[Manner, ...] = MANNERS
    unit: Literal["concept", "image"] = "concept"
    na: Literal["drop", "wrong"] = "drop"
    context: Label | None = None
    version: float = 1.0
    task: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "record", self.record or self.name)

    @property
    def drawn(self) -> bool:
        """Whether each image gets one of the questions, drawn once and for all, as in the paper's TEST."""
        return self.rows == "drawn"

    @property
    def verdicts(self) -> tuple[str, ...]:
        """The verdicts beside ``na``; none for a capability, whose rows each have words of their own."""
        return {"perception": tuple(LETTERS), "alignment": (SAFE, UNSAFE), "capability": ()}[self.asks]

    @property
    def scored(self) -> tuple[str, ...]:
        """The labels of its scores by likelihood; none where it is never asked so."""
        if LIKELIHOOD not in self.manners:
            return ()
        return tuple(LETTERS) if self.asks == "perception" else (YES, NO)

    def questions(self, benchmark: Benchmark) -> int:
        """How many questions it draws from or asks about one image or concept at most."""
        alignment, capability = len(benchmark.questions), len(benchmark.capabilities)
        return {"all_questions": alignment, "drawn": alignment, "capability": capability}.get(self.rows, 1)


@checked_dataclass(frozen=True, config=_STRICT)
class Group:
    """A group of tasks: its name behind the benchmark's, its members (names of probes or groups), and in which manners.

    ``gap`` says that it is the difference between its two members, text minus image, and what that is called.
    """

    name: str
    members: Annotated[tuple[str, ...], Field(min_length=1)]
    manners: tuple[Manner, ...] = MANNERS
    gap: str = ""
    version: float = 1.0


class Function(str):
    """The dotted name of a function, which a harness's YAML has behind ``!function``."""


class _Loader(yaml.SafeLoader):
    """Reads a harness's YAML; a function stays a name (:class:`Function`)."""


def _name(loader: yaml.SafeLoader, node: Any) -> Function:
    return Function(loader.construct_scalar(node))


_Loader.add_constructor("!function", _name)


def read_part(harness: str, file: str) -> dict[str, Any]:
    """A file of the one set of YAML, ``tasks/HARNESS/FILE``."""
    found: dict[str, Any] = yaml.load((task_folder(harness) / file).read_text(encoding="utf-8"), _Loader)
    return found


def _table(file: str, row: type) -> dict[str, Any]:
    found = read_part("lmms_eval", file)
    try:
        return {name: TypeAdapter(row).validate_python({"name": name, **keys}) for name, keys in found.items()}
    except ValidationError as error:
        raise UserError(f"{task_folder('lmms_eval') / file}: {problem(error)}") from error


PROBES: Final[dict[str, Probe]] = _table("probes.yaml", Probe)
GROUPS: Final[dict[str, Group]] = _table("groups.yaml", Group)


def members(group: str) -> tuple[Probe, ...]:
    """The probes of a group, those of groups within it included."""
    return tuple(
        probe for name in GROUPS[group].members for probe in ([PROBES[name]] if name in PROBES else members(name))
    )


# By what a judged answer bears. What differs between the two forms of the text-only question is looked up by task.
OF_RECORD: Final[Mapping[str, Probe]] = {probe.record: probe for probe in reversed(PROBES.values())}
TITLES: Final[Mapping[str, str]] = {probe.name: probe.title for probe in PROBES.values()}
CONTEXTS: Final = tuple(probe.record for probe in PROBES.values() if probe in members("contexts"))
# Everything beside perception, alignment and capability: TEST, other data sets, and questions in a context.
GENERALISATION: Final = tuple(probe.record for probe in PROBES.values() if probe not in members(""))
TESTED: Final = tuple(probe.record for probe in PROBES.values() if probe.na == "wrong")
# The text-only and the image side of the modality gap: in general, and in each kind of context.
GAPS: Final[Mapping[GapKind, tuple[str, str]]] = {
    text.context or "general": (text.record, image.record)
    for group in GROUPS.values()
    if group.gap
    for image, text in [members(group.name)]
}


@dataclass(frozen=True)
class Task:
    """A probe, put to one benchmark in one manner."""

    name: str
    benchmark: Benchmark
    probe: Probe
    manner: Manner

    @property
    def source(self) -> str:
        """The benchmark's name."""
        return self.benchmark.name

    @property
    def way(self) -> Way:
        """Whether its answers are generated or scored by likelihood."""
        return LIKELIHOOD if self.manner == LIKELIHOOD else GENERATED


@dataclass(frozen=True)
class TaskGroup:
    """A group of a benchmark's tasks in one manner; ``members`` are names of tasks and groups, ``tasks`` all tasks in it."""

    name: str
    benchmark: Benchmark
    group: Group
    manner: Manner
    members: tuple[str, ...]
    tasks: tuple[Task, ...]


def tasks_of(benchmark: Benchmark) -> dict[str, Task]:
    """The tasks of a benchmark by name: of each probe all of whose needs it offers."""
    return {
        (name := _named(benchmark, probe.name, manner)): Task(name, benchmark, probe, manner)
        for probe in PROBES.values()
        if set(probe.needs) <= set(benchmark.offers)
        for manner in probe.manners
    }


def groups_of(benchmark: Benchmark) -> dict[str, TaskGroup]:
    """The groups of a benchmark by name, those without a task left out; a gap needs both of its members."""
    tasks = tasks_of(benchmark)
    found: dict[str, TaskGroup] = {}
    # Groups stand behind those that they are members of.
    for group in reversed(GROUPS.values()):
        for manner in group.manners:
            names = [_named(benchmark, member, manner) for member in group.members]
            there = tuple(name for name in names if name in tasks or name in found)
            if not there or (group.gap and there != tuple(names)):
                continue
            own = [each for name in there for each in ([tasks[name]] if name in tasks else found[name].tasks)]
            name = _named(benchmark, group.name, manner)
            found[name] = TaskGroup(name, benchmark, group, manner, there, tuple(own))
    return found


def _named(benchmark: Benchmark, name: str, manner: Manner) -> str:
    return f"{benchmark.name}{'_' if name else ''}{name}{SUFFIXES[manner]}"
