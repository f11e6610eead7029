"""What a benchmark can show before any model is asked: how wide an interval will be, and which change could be detected.

Answers about one concept are not independent of each other, so the number of concepts limits what can be shown, however many
images each has. Answers are drawn that models might give, and the intervals of `table` and `compare` computed of them.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness_ext.benchmark.probes import TITLES
from harness_ext.metrics.intervals import FEWEST, change_interval, ratio_estimate, smallest_difference
from harness_ext.metrics.units import Array, Interval, Ratio, pair_sums
from harness_ext.own.benchmark import OwnBenchmark
from harness_ext.records import LABELS, Label

# The correlation of two answers about one concept: between that of the paper's LLaVA-1.5-7B before training and after DPO,
# of unsafe images of its published answers.
BETWEEN_CONCEPTS: Final = 0.3
ACCURACY: Final = 0.5
DIFFERING: Final = 0.2
_DRAWN: Final = 20
ASSUMED: Final = (
    f"Assumed: an accuracy of {ACCURACY}, where intervals are widest; {DIFFERING:.0%} of the answers differ between "
    f"two models of one accuracy; answers about one concept are alike by a correlation of {BETWEEN_CONCEPTS:g}, as in the "
    f"paper's published answers. Means over {_DRAWN} draws of such answers."
)


@dataclass(frozen=True)
class Measure:
    """One accuracy of a probe, over the concepts of one label.

    Attributes:
        title: The probe's, and the label.
        concepts: How many concepts it is about.
        answers: How many answers.
        half_width: Half of the width of its 95 % interval over concepts; ``None`` where there is none.
        could_show: The smallest margin against which a model that did not change would be retained in 80 % of evaluations;
            ``None`` likewise.
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
    counts = np.array(list(answers), dtype=np.int64)
    wide = change = None
    if len(counts) >= FEWEST:
        rng = np.random.default_rng(0)
        wide = float(np.mean([_half(_interval(counts, rng)) for _ in range(_DRAWN)]))
        change = float(np.mean([smallest_difference(_change(counts, rng)) for _ in range(_DRAWN)]))
    return Measure(f"{title}, {label} concepts", len(counts), int(counts.sum()), wide, change)


def chances(rng: np.random.Generator, mean: float, correlation: float, concepts: int) -> Array:
    """Each concept's chance, by the beta distribution of this mean, shape (concepts,).

    ``correlation`` is that of two answers about one concept.
    """
    size = 1 / correlation - 1
    found: Array = rng.beta(mean * size, (1 - mean) * size, concepts)
    return found


def _interval(counts: NDArray[np.int64], rng: np.random.Generator) -> Interval:
    right = rng.binomial(counts, chances(rng, ACCURACY, BETWEEN_CONCEPTS, len(counts)))
    found = ratio_estimate(Ratio(float(k), int(n)) for k, n in zip(right, counts, strict=True))
    assert found.low is not None and found.high is not None
    return found.low, found.high


def _change(counts: NDArray[np.int64], rng: np.random.Generator) -> Interval | None:
    """The interval of a change between two models, of which either is right alone on half of the answers that differ."""
    right = rng.binomial(counts, ACCURACY)
    loses, gains = (chances(rng, DIFFERING, BETWEEN_CONCEPTS, len(counts)) for _ in range(2))
    after = right - rng.binomial(right, loses) + rng.binomial(counts - right, gains)
    before, changed = (np.stack([each, counts], -1).astype(float) for each in (right, after))
    return change_interval(pair_sums(before, changed), float(counts.mean()))


def _half(interval: Interval) -> float:
    return (interval[1] - interval[0]) / 2
