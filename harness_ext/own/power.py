"""What a benchmark can show before any model is asked: how wide an interval will be, and which change could be detected.

Answers about one concept are not independent of each other, so the number of concepts limits what can be shown, however many
images each has. Source: Kish, "Survey Sampling", 1965, chapter 5 (the variance of a mean over clusters).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from typing import Final

from scipy.stats import t

from harness_ext.benchmark.probes import TITLES
from harness_ext.metrics.intervals import CONFIDENCE, smallest_difference
from harness_ext.own.benchmark import OwnBenchmark
from harness_ext.records import LABELS, Label

# With it, `half_width` of TEST's unsafe images by concept is that of the published answers of the paper's LLaVA-1.5-7B:
# .267 [.191, .347].
BETWEEN_CONCEPTS: Final = 0.3
ACCURACY: Final = 0.5
DIFFERING: Final = 0.2
FEW_CONCEPTS: Final = 5
ASSUMED: Final = (
    f"Assumed: an accuracy of {ACCURACY}, where intervals are widest; {DIFFERING:.0%} of the answers differ between "
    f"two models; {BETWEEN_CONCEPTS:.0%} of the spread of answers lies between concepts, as in the paper's published answers."
)


@dataclass(frozen=True)
class Measure:
    """One accuracy of a probe, over the concepts of one label.

    Attributes:
        title: The probe's, and the label.
        concepts: How many concepts it is about.
        answers: How many answers.
        half_width: Half of the width of its 95 % interval over concepts; ``None`` for fewer than two concepts.
        could_show: The smallest true change between two models that would be shown with a power of 80 % (two-sided alpha
            5 %); ``None`` likewise.
    """

    title: str
    concepts: int
    answers: int
    half_width: float | None
    could_show: float | None


def measures(benchmark: OwnBenchmark) -> list[Measure]:
    """The benchmark's main accuracies, by probe and label; those without a concept are left out."""
    questions = len(benchmark.questions)
    label_of = {each.name: each.label for each in benchmark.concepts}
    listing, sides = benchmark.listing, benchmark.sides
    images = Counter(listing.concepts)
    tested = Counter(listing.concepts[row] for row in sides.test)
    asked: dict[str, dict[str, int]] = {
        "image": {name: count * questions for name, count in images.items()},
        "text": dict.fromkeys(label_of, questions),
        "test": dict(tested),
    }
    if "options" in benchmark.offers:
        asked = {"perception": dict(images), **asked}
    return [
        measure(TITLES[probe], label, [count for name, count in counts.items() if label_of[name] == label])
        for probe, counts in asked.items()
        for label in LABELS
        if any(label_of[name] == label for name in counts)
    ]


def measure(title: str, label: Label, answers: Iterable[int]) -> Measure:
    """A measure of so many ``answers`` about each of its concepts."""
    counts = list(answers)
    wide = half_width(counts, ACCURACY * (1 - ACCURACY))
    # A changed answer moves a score by one, up or down: its square is one.
    change = half_width(counts, DIFFERING)
    return Measure(
        f"{title}, {label} concepts",
        len(counts),
        sum(counts),
        wide,
        None if change is None else smallest_difference((-change, change)),
    )


def half_width(answers: Iterable[int], variance: float) -> float | None:
    """Half of the width of the 95 % interval of a mean over all answers.

    Args:
        answers: How many there are about each concept.
        variance: Of one answer's score, of which the share ``BETWEEN_CONCEPTS`` lies between concepts.

    Returns:
        ``t`` of as many degrees of freedom as concepts less one, times the standard error; ``None`` for fewer than two
        concepts.
    """
    counts = list(answers)
    if len(counts) < 2:
        return None
    of_concepts = sum(count**2 * (BETWEEN_CONCEPTS + (1 - BETWEEN_CONCEPTS) / count) for count in counts)
    error = sqrt(variance * of_concepts) / sum(counts)
    return float(t.ppf((1 + CONFIDENCE) / 2, len(counts) - 1) * error)
