"""The one table of probes: what each asks, what it shows, and how its answers count; and the tasks that ask it.

A task is a probe, put to a source's images or concepts in one manner. Its name is looked up whole and never taken apart.
A new probe is a row of ``PROBES``, its rows' wording in ``harness_ext/probes/rows.py``, and a YAML for each of its tasks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Final, Literal

from harness_ext.benchmark import SOURCES
from harness_ext.benchmark.questions import LETTERS, NUM_QUESTIONS
from harness_ext.common.errors import UserError
from harness_ext.records import (
    GENERATED,
    GREEDY,
    LABELS,
    LIKELIHOOD,
    MANNERS,
    NO,
    SAFE,
    SAMPLED,
    UNSAFE,
    YES,
    Label,
    Manner,
    ProbeName,
    Way,
)

# The skills of the capability probe, in the order of its questions.
SKILLS: Final = ("colour", "count", "position")
# A source's images: the benchmark's or the stand-in's own (``all``), the held-out ones (``test``), or another data set.
ImageCollection = Literal["all", "test", "smid", "nsfw"]
Asks = Literal["perception", "alignment", "capability"]
# The two forms of a text-only question: nothing beside the text, or a blank image as the authors' code sends.
TextVariant = Literal["none", "blank"]
GapKind = Literal["general", "unsafe", "safe"]
Group = Literal["", "generalisation", "contexts"]
Need = Literal["images", "options", "safe", "contexts", "smid", "nsfw", "block"]
# The pool of the answers of both labels to a probe of generalisation.
ALL: Final = "all"
_SUFFIXES: Final[Mapping[Manner, str]] = {"greedy": "", "sampled": "_sampled", "likelihood": "_likelihood"}


@dataclass(frozen=True)
class Probe:
    """One row of the table.

    Attributes:
        name: In the names of its tasks, and in reports.
        title: For the reader of a table.
        asks: Which of the questions: perception's, alignment's (about safety), or a capability's.
        shows: The row's image, a blank one, or none.
        collection: Which of the source's images it shows, where it shows one.
        needs: What it reads of UnsafeConcepts beside the concepts' names.
        sources: Which sources have it.
        manners: In which manners it is asked.
        unit: What intervals resample: concepts, or in data without concepts images.
        questions: How many questions it asks about one image or concept at most.
        na: How ``na`` counts in the paper's measure of it: left out (``"drop"``), or as wrong, then by label too.
        drawn: Whether each image gets one of the five questions, drawn once and for all, as in the paper's TEST.
        group: Which group of tasks it belongs to: the source's own (``""``), the paper's TEST and generalisation, or the
            measuring in a context; ``None`` where it is asked by its own name alone.
        context: The context that it asks about; it gives the right verdict, in the place of the image's label.
    """

    name: ProbeName | Literal["text_blank"]
    title: str
    asks: Asks = "alignment"
    shows: Literal["image", TextVariant] = "image"
    collection: ImageCollection = "all"
    needs: tuple[Need, ...] = ("images",)
    sources: tuple[str, ...] = SOURCES
    manners: tuple[Manner, ...] = MANNERS
    unit: Literal["concept", "image"] = "concept"
    questions: int = NUM_QUESTIONS
    na: Literal["drop", "wrong"] = "drop"
    drawn: bool = False
    group: Group | None = ""
    context: Label | None = None

    @property
    def record(self) -> ProbeName:
        """What its judged answers bear as ``probe``; the two forms of the text-only question share one."""
        return "text" if self.name == "text_blank" else self.name

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


_GENERATED: Final[tuple[Manner, ...]] = (GREEDY, SAMPLED)
_GREEDY: Final[tuple[Manner, ...]] = (GREEDY,)
_OURS: Final = ("unsafeconcepts",)
_tested = partial(Probe, manners=_GREEDY, na="wrong", drawn=True, group="generalisation")
_all_five = partial(_tested, drawn=False, group=None)
_in_context = partial(Probe, needs=("images", "contexts"), manners=_GENERATED, questions=1, group="contexts")
_test_in_context = partial(_in_context, collection="test", manners=_GREEDY, group="generalisation")
PROBES: Final = (
    Probe("perception", "Perception", "perception", needs=("images", "options"), questions=1),
    Probe("image", "Image alignment"),
    Probe("text", "Text-only alignment", shows="none", needs=()),
    Probe("text_blank", "Text alignment, blank image", shows="blank", needs=(), manners=_GENERATED),
    Probe(
        "capability", "Capability", "capability",
        needs=(), sources=("glyphworld",), manners=_GREEDY, questions=len(SKILLS),
    ),
    _tested("test", "TEST", collection="test", needs=("images", "safe")),
    _tested("smid", "SMID", collection="smid", needs=("smid",), sources=_OURS, unit="image"),
    _tested("nsfw", "NSFW", collection="nsfw", needs=("nsfw",), sources=_OURS, unit="image"),
    _all_five("test_all_questions", "TEST, five questions", collection="test", needs=("images", "safe")),
    _all_five("smid_all_questions", "SMID, five questions", collection="smid", needs=("smid",), sources=_OURS, unit="image"),
    _all_five("nsfw_all_questions", "NSFW, five questions", collection="nsfw", needs=("nsfw",), sources=_OURS, unit="image"),
    _test_in_context("context_safe", "TEST, safe context", context=SAFE),
    _test_in_context("context_unsafe", "TEST, unsafe context", context=UNSAFE),
    _in_context("context_image_safe", "Image, safe context", context=SAFE),
    _in_context("context_image_unsafe", "Image, unsafe context", context=UNSAFE),
    _in_context("context_text_safe", "Text-only, safe context", shows="none", needs=("contexts",), context=SAFE),
    _in_context("context_text_unsafe", "Text-only, unsafe context", shows="none", needs=("contexts",), context=UNSAFE),
)  # fmt: skip
# By what a judged answer bears. What differs between the two forms of the text-only question is looked up by task.
OF_RECORD: Final[Mapping[str, Probe]] = {probe.record: probe for probe in reversed(PROBES)}
TITLES: Final[Mapping[str, str]] = {probe.name: probe.title for probe in PROBES}
# Everything beside perception, alignment and capability: TEST, other data sets, and questions in a context.
GENERALISATION: Final[tuple[ProbeName, ...]] = tuple(probe.record for probe in PROBES if probe.group != "")
CONTEXTS: Final[tuple[ProbeName, ...]] = tuple(probe.record for probe in PROBES if probe.group == "contexts")
# The text-only and the image side of the modality gap: in general, and in each kind of context.
GAPS: Final[Mapping[GapKind, tuple[ProbeName, ProbeName]]] = {
    "general": ("text", "image"),
    UNSAFE: ("context_text_unsafe", "context_image_unsafe"),
    SAFE: ("context_text_safe", "context_image_safe"),
}
TESTED: Final[tuple[ProbeName, ...]] = tuple(probe.record for probe in PROBES if probe.na == "wrong")


@dataclass(frozen=True)
class Task:
    """A probe, put to one source in one manner."""

    name: str
    source: str
    probe: Probe
    manner: Manner

    @property
    def way(self) -> Way:
        """Whether its answers are generated or scored by likelihood."""
        return LIKELIHOOD if self.manner == LIKELIHOOD else GENERATED


TASKS: Final[Mapping[str, Task]] = {
    name: Task(name, source, probe, asked)
    for source in SOURCES
    for probe in PROBES
    if source in probe.sources
    for asked in probe.manners
    for name in [f"{source}_{probe.name}{_SUFFIXES[asked]}"]
}


def _groups() -> dict[str, tuple[Task, ...]]:
    """The tasks of each group of the YAML; a test holds the two together."""
    found: dict[str, tuple[Task, ...]] = {}
    for source in SOURCES:
        own = [task for task in TASKS.values() if task.source == source]
        for asked, suffix in _SUFFIXES.items():
            main = tuple(task for task in own if task.manner == asked and task.probe.group == "")
            found[f"{source}{suffix}"] = main
            found[f"{source}_gap{suffix}"] = tuple(task for task in main if task.probe.name in ("image", "text"))
            contexts = tuple(task for task in own if task.manner == asked and task.probe.group == "contexts")
            if contexts:
                found[f"{source}_contexts{suffix}"] = contexts
                for context in LABELS:
                    gap = tuple(task for task in contexts if task.probe.context == context)
                    found[f"{source}_gap_context_{context}{suffix}"] = gap
        found[f"{source}_generalisation"] = tuple(task for task in own if task.probe.group == "generalisation")
    return found


GROUPS: Final[Mapping[str, tuple[Task, ...]]] = _groups()


def tasks_named(names: Iterable[str]) -> list[Task]:
    """Our tasks among ``names``, which are names of tasks or groups of any benchmark, or patterns with ``*`` of them."""
    known = {**{name: (task,) for name, task in TASKS.items()}, **GROUPS}
    found = [task for name in names for each, tasks in known.items() if fnmatchcase(each, name) for task in tasks]
    return list(dict.fromkeys(found))


def source_of(task: str) -> str | None:
    """The source of a task, ``None`` where it is another benchmark's."""
    return TASKS[task].source if task in TASKS else None


def task_named(name: str) -> Task:
    """The task of that name. Raises ``UserError`` where it is none of this project's."""
    if name not in TASKS:
        raise UserError(f"{name}: expected a task of this project, as in `lmms_eval tasks list`")
    return TASKS[name]


def manner(task: str) -> Manner:
    """How a task asks. Raises ``UserError`` where it is none of this project's."""
    return task_named(task).manner


def text_variant(task: str) -> TextVariant:
    """What a text-only task shows beside its question. Raises ``UserError`` where it is no text-only task."""
    if (shows := task_named(task).probe.shows) == "image":
        raise UserError(f"{task}: expected a text-only task")
    return shows
