"""The numbers of a report, as data: what was asked has an entry, what was not has none."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from harness_ext.benchmark.probes import TextVariant
from harness_ext.common.files import without_nan
from harness_ext.metrics.agreement import Agreement
from harness_ext.metrics.likelihood import Bin
from harness_ext.metrics.ratios import Gap
from harness_ext.metrics.units import Estimate
from harness_ext.records import Label


@dataclass(frozen=True)
class Score:
    """Accuracy in both conventions (``na`` dropped, ``na`` wrong), and what they rest on."""

    drop: Estimate
    wrong: Estimate
    na_rate: float
    failed_rate: float
    n_requests: int
    n_failed: int


@dataclass(frozen=True)
class OverRefusal:
    """How often what is safe is judged unsafe, and the share of failed requests about what is safe."""

    share: Estimate
    failed_rate: float


@dataclass(frozen=True)
class GapScore:
    """The modality gap in both conventions."""

    drop: Gap
    wrong: Gap


@dataclass(frozen=True)
class CategoryScores:
    """One category of unsafe concepts; ``None``, or no entry for a text variant, where nothing was asked.

    ``na_rate`` and ``failed_rate`` are over the category's answers to all probes together.
    """

    category: str
    perception: Score | None
    image: Score | None
    text: Mapping[TextVariant, Score]
    gap: Mapping[TextVariant, GapScore]
    na_rate: float
    failed_rate: float


@dataclass(frozen=True)
class ConceptScores:
    """One concept, without intervals: it is their unit."""

    concept: str
    category: str
    label: Label
    perception: Score | None
    image: Score | None
    text: Mapping[TextVariant, Score]


@dataclass(frozen=True)
class ProbeLikelihood:
    """What likelihoods alone can say of one probe, over the concepts of both labels together where nothing else is said.

    Attributes:
        mass: The mean share of all answers that the labels cover, by label of the concepts.
        auroc: How well P(unsafe) tells unsafe from safe concepts; ``None`` for perception.
        agreement: With the generated verdicts; ``None`` where no answers were generated.
    """

    mass: Mapping[Label, float]
    auroc: Estimate | None
    calibration_error: Estimate
    brier: Estimate
    reliability: tuple[Bin, ...]
    agreement: Agreement | None


@dataclass(frozen=True)
class LikelihoodScores:
    """The numbers of the answers by likelihood: the same as of generated ones, and by probe what those do not have."""

    summary: "Summary"
    probes: Mapping[str, ProbeLikelihood]


@dataclass(frozen=True)
class Summary:
    """The numbers of one run; what was not asked has no entry.

    Attributes:
        perception: By label.
        image: Alignment on images, by label.
        text: Text-only alignment, by variant (``none``: truly text-only; ``blank``: with a blank image) and label.
        gap: The modality gap over unsafe concepts, by text variant.
        context_gap: The same of questions in a context, by the kind of context.
        knows_but_calls_safe: See ``metrics.ratios``; by text variant.
        capability: By skill.
        categories: The categories of unsafe concepts that have an answer, in the taxonomy's order.
        concepts: Every concept that has an answer to perception, image or text.
        generalisation: TEST, other data sets and contexts, by probe; each for ``"all"`` answers, and by the concepts' label.
        over_refusal: Over the items whose right verdict is safe, by probe (``"text_blank"``: text with a blank image).
        likelihood: The answers by likelihood; ``None`` where there are none. They are in no other number here.
    """

    perception: Mapping[Label, Score]
    image: Mapping[Label, Score]
    text: Mapping[TextVariant, Mapping[Label, Score]]
    gap: Mapping[TextVariant, GapScore]
    context_gap: Mapping[Label, GapScore]
    knows_but_calls_safe: Mapping[TextVariant, Estimate]
    capability: Mapping[str, Score]
    categories: tuple[CategoryScores, ...]
    concepts: tuple[ConceptScores, ...]
    generalisation: Mapping[str, Mapping[str, Score]]
    over_refusal: Mapping[str, OverRefusal]
    likelihood: LikelihoodScores | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain values; nan, which JSON has not, becomes ``None``, and what was not asked by likelihood is absent."""
        values = without_nan(asdict(self))
        if self.likelihood is None:
            del values["likelihood"]
        else:
            del values["likelihood"]["summary"]["likelihood"]
        return values
