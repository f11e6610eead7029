"""What a benchmark is: concepts, their images, and what is asked about them. Nothing in it depends on which one it is.

The packaged ones are ``harness_ext.unsafeconcepts`` and ``harness_ext.glyphworld``; a user's is a folder that
``harness_ext.own`` reads. All are found by name in ``harness_ext.registry``. Light on purpose: what needs images imports
what reads them when it is called.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from harness_ext.benchmark.questions import IMAGE_QUESTIONS, TEXT_QUESTIONS
from harness_ext.common.errors import UserError
from harness_ext.records import SAFE, UNSAFE, Judgement, Label

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

    from harness_ext.benchmark.options import Options

# A benchmark's images: all of its own, the held-out ones (``test``), or another data set that it is measured on.
ImageCollection = Literal["all", "test", "smid", "nsfw"]
# What a probe reads of a benchmark beside the concepts' names.
Need = Literal["images", "options", "test", "contexts", "capability", "smid", "nsfw"]


@dataclass(frozen=True)
class Concept:
    """One concept.

    Attributes:
        name: As in questions and results.
        category: The group that it is reported in.
        label: Whether showing it is unsafe or safe.
        also: Other names by which an answer may call it.
    """

    name: str
    category: str
    label: Label = UNSAFE
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """One alignment question.

    Attributes:
        image: As it is put about an image.
        text: As it is put about a concept's name, which stands for ``{concept}``.
        yes: What "yes" says of the image or concept.
    """

    image: str
    text: str
    yes: Label = SAFE

    def about(self, concept: str) -> str:
        """The text-only form about ``concept``."""
        return self.text.replace("{concept}", concept)


class Capability(NamedTuple):
    """One question of general ability.

    Attributes:
        skill: The ability, as in reports.
        column: The column of the rows that has the right word; ``None`` in it where the question is not asked.
        question: The question.
        vocabulary: The words, of which one is right.
    """

    skill: str
    column: str
    question: str
    vocabulary: tuple[str, ...]


# The column of a counterfactual side that says which two images are a pair.
SCENE: Final = "scene"
PUBLISHED_QUESTIONS: Final = tuple(Question(*both) for both in zip(IMAGE_QUESTIONS, TEXT_QUESTIONS, strict=True))


class TrainingSide(NamedTuple):
    """What may be trained on.

    Attributes:
        images: Images, undecoded, with ``row``, ``concept``, ``category`` and ``label``.
        chosen: The positions in ``images`` that are trained on.
        described: Where they come from and what was left out, in lines for a reader.
    """

    images: "Dataset"
    chosen: Sequence[int]
    described: tuple[str, ...]


class Benchmark(ABC):
    """One benchmark.

    Attributes:
        name: The first part of its tasks' names, and ``source`` in records; numbers of two benchmarks are never mixed.
        title: For a reader; ``reference`` behind it, where a table says whose it is.
        warning: What stands behind the title where numbers could be taken for others'; empty where there is no danger.
        gated: Whether its images must not leave the machine unasked.
        concepts: All concepts, in the order of the rows of text-only probes.
        concepts_file: The same as JSON lines, which the harnesses read as a task's data set.
        offers: What it has of that which probes need.
        questions: The alignment questions.
        policy: What is put before every question; empty where there is none.
        capabilities: The questions of general ability; none where it has none.
        trained_images_in_all: Whether the collection ``all`` holds the images of the training side.
        source_fact: The fact in results that says which copy of the images was asked about; two runs must share it.
        split: How training side and TEST are told apart, for results; empty where results need not say.
    """

    name: str
    title: str
    reference: str = ""
    warning: str = ""
    gated: bool = True
    offers: Collection[Need]
    questions: tuple[Question, ...] = PUBLISHED_QUESTIONS
    policy: str = ""
    capabilities: tuple[Capability, ...] = ()
    trained_images_in_all: bool = True
    source_fact: str = ""

    @property
    @abstractmethod
    def concepts(self) -> tuple[Concept, ...]:
        """See the class."""

    @property
    @abstractmethod
    def concepts_file(self) -> str:
        """See the class."""

    @property
    def split(self) -> str:
        """See the class."""
        return ""

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """The categories of unsafe concepts, in their order."""
        return tuple(dict.fromkeys(each.category for each in self.concepts if each.label == UNSAFE))

    @property
    def full_title(self) -> str:
        """The title with what a reader of a table must know."""
        return f"{self.title}: {self.warning}" if self.warning else f"{self.title}{self.reference}"

    @property
    def short_title(self) -> str:
        """The title as part of a sentence."""
        return f"{self.title} ({self.warning.partition(',')[0]})" if self.warning else self.title

    def categories_among(self, records: Iterable[Judgement]) -> list[str]:
        """The categories of unsafe concepts among ``records``, in their order here; others behind, as they appear."""
        found = dict.fromkeys(each.category for each in records if each.label == UNSAFE)
        return [each for each in self.categories if each in found] + [
            each for each in found if each not in self.categories
        ]

    @property
    def has_safe_concepts(self) -> bool:
        """Whether there are safe concepts, from which unsafe ones can be told."""
        return any(each.label == SAFE for each in self.concepts)

    @property
    def identity(self) -> Mapping[str, str]:
        """What results say of the benchmark beside its name, so that runs of two states of it are told apart."""
        return {}

    def put(self, question: str) -> str:
        """``question`` as it is asked: behind the policy, where there is one."""
        return f"{self.policy}\n\n{question}" if self.policy else question

    @abstractmethod
    def check_access(self, needs: Collection[Need]) -> None:
        """Ask, within seconds and without downloading, for what ``needs`` names. Raises ``SourceError``."""

    @abstractmethod
    def require(self, needs: Collection[Need]) -> None:
        """Have what ``needs`` names on this machine, checked. Raises ``SourceError``."""

    @abstractmethod
    def rows(self, collection: ImageCollection, in_context: bool = False) -> "Dataset":
        """The rows that this run asks about, without images: ``row``, ``concept``, ``category``, ``label``, ``source``.

        Args:
            collection: Which of the images.
            in_context: Only those of concepts that have questions in a context.

        Raises:
            SourceError: The images cannot be had, or are not what they should be.
        """

    @abstractmethod
    def image(self, collection: ImageCollection, row: int) -> "Image.Image":
        """The image of a row, upright, in RGB. Raises ``SourceError`` as `rows` does."""

    @abstractmethod
    def options(self, rows: "Dataset") -> Sequence["Options"]:
        """The four options of the perception question about each of ``rows``."""

    def with_contexts(self, concepts: "Dataset") -> "Dataset":
        """The rows of ``concepts``, by name, that have questions in a context; all of them unless it says otherwise."""
        return concepts

    def in_context(self, rows: "Dataset", context: Label) -> list[str]:
        """The question about each of ``rows``, in a context in which showing the concept is ``context``."""
        raise NotImplementedError(f"{self.name} has no questions in a context")

    @abstractmethod
    def training_side(self, renders: int, first_render: int) -> TrainingSide:
        """The images that may be trained on; none is in the collection ``test``, nor nearly the same as one there.

        Args:
            renders: Where images are drawn without end, how many of each concept; elsewhere not used.
            first_render: How many of those to skip.

        Raises:
            SourceError: The images cannot be had.
            UserError: There are not so many renders.
        """

    def counterfactual_side(self, renders: int, first_render: int) -> TrainingSide:
        """The images of `training_side` in pairs: an unsafe concept and a safe one in the same scene.

        The column ``scene`` of an image is the ``row`` of its pair's unsafe one. Raises as `training_side` does, and
        ``UserError`` where images are not drawn: no second one differs from a photograph in its concept alone.
        """
        raise UserError(
            f"counterfactual: the images of {self.name} are not drawn here, so that none shows a safe concept in the scene "
            "of an unsafe one; train on glyphworld, or take it out"
        )


def slug(category: str) -> str:
    """A category's name as part of a metric's name: ``"Illegal activity"`` -> ``"illegal_activity"``."""
    return category.lower().replace(" ", "_").replace("-", "_")
