"""The numbers of a report, as data: what was asked has an entry, what was not has none."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from harness_ext.metrics.estimate import Estimate
from harness_ext.metrics.gap import Gap
from harness_ext.metrics.records import Label

TextVariant = Literal["none", "blank"]
LABELS: Final[tuple[Label, ...]] = ("unsafe", "safe")
SAMPLED: Final = "_sampled"
VARIANTS: Final[tuple[TextVariant, ...]] = ("none", "blank")


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
    """One concept, without intervals: it is the unit that they resample."""

    concept: str
    category: str
    label: Label
    perception: Score | None
    image: Score | None
    text: Mapping[TextVariant, Score]


@dataclass(frozen=True)
class Summary:
    """The numbers of one run; what was not asked has no entry.

    Attributes:
        perception: By label.
        image: Alignment on images, by label.
        text: Text-only alignment, by variant (``none``: truly text-only; ``blank``: with a blank image) and label.
        gap: The modality gap over unsafe concepts, by text variant.
        knows_but_calls_safe: See ``metrics.conditional``; by text variant.
        capability: By skill.
        categories: The categories of unsafe concepts that have an answer, in the taxonomy's order.
        concepts: Every concept that has an answer.
    """

    perception: Mapping[Label, Score]
    image: Mapping[Label, Score]
    text: Mapping[TextVariant, Mapping[Label, Score]]
    gap: Mapping[TextVariant, GapScore]
    knows_but_calls_safe: Mapping[TextVariant, Estimate]
    capability: Mapping[str, Score]
    categories: tuple[CategoryScores, ...]
    concepts: tuple[ConceptScores, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values; nan, which JSON has not, becomes ``None``."""
        return _without_nan(asdict(self))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
