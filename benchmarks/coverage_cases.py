"""What ``coverage.py`` simulates: data of the benchmark's shape whose true value is known, and the product's interval of it.

A concept's chance is drawn from a beta distribution of a given mean and of a given correlation between answers about one
concept (the beta-binomial's). Correlations measured by maximum likelihood: .26, .32 and .50 for unsafe images of the authors'
published answers of LLaVA-1.5-7B before training, after DPO and after PPO; .11 for the answers that DPO lost; .81 for
glyphworld's unsafe images, .02 for its perception. A concept has as many images as in the benchmark, 1 to 50.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from align.crossed import difference, share
from harness_ext.metrics.agreement import cohens_kappa
from harness_ext.metrics.diversity import diversity_by_response
from harness_ext.metrics.intervals import change_interval, ratio_estimate
from harness_ext.metrics.likelihood import auroc, calibration_error
from harness_ext.metrics.ratios import gap_of_ratios
from harness_ext.metrics.units import Ratio, pair_sums
from harness_ext.own.power import chances
from harness_ext.records import LIKELIHOOD, NO, YES, Judgement
from harness_ext.unsafeconcepts.taxonomy import CATEGORIES, CONCEPTS

Array = NDArray[np.float64]
Ends = tuple[float, float] | None

IMAGES: Final = np.array([concept.images for concept in CONCEPTS])
QUESTIONS: Final = 5
TEXT: Final = np.full(len(IMAGES), QUESTIONS)
# Measured on the model before training, after PPO, and on the stand-in.
SPREAD, WIDE_SPREAD, CLUSTERED = 0.3, 0.5, 0.8


@dataclass(frozen=True)
class Case:
    """One row: ``draw`` gives the interval of one simulated data set, ``None`` where the product gives none.

    Attributes:
        group: Which command shows such an interval: ``"table"``, ``"compare"``, ``"align table"``.
        true: The value that the interval should hold, or what computes it.
        least: The coverage that is accepted; ``None`` for a row that is only reported.
        tail: The largest share of intervals that may miss the truth on one side.
        trials: How many data sets, as a share of the number asked for.
    """

    group: str
    name: str
    true: float | Callable[[], float]
    draw: Callable[[np.random.Generator], Ends]
    least: float | None = 0.93
    tail: float = 0.04
    trials: float = 1.0

    @property
    def truth(self) -> float:
        """The value that the interval should hold."""
        return self.true if isinstance(self.true, float) else self.true()


def of_category(name: str) -> NDArray[np.int64]:
    """The number of images of each concept of a category."""
    return np.array([concept.images for concept in CONCEPTS if concept.category == name])


# --- one run ----------------------------------------------------------------------------------------------------------


def right_answers(rng: np.random.Generator, mean: float, correlation: float, asked: NDArray[np.int64]) -> list[Ratio]:
    """Right answers of those asked about each concept."""
    right = rng.binomial(asked, chances(rng, mean, correlation, len(asked)))
    return [Ratio(float(k), int(n)) for k, n in zip(right, asked, strict=True)]


def ends(estimate: Any) -> Ends:
    """The interval of an estimate."""
    return None if estimate.low is None or estimate.high is None else (estimate.low, estimate.high)


def accuracy(name: str, mean: float, correlation: float, asked: NDArray[np.int64], **rest: Any) -> Case:
    """A pooled share of right answers."""
    return Case(
        "table", name, mean, lambda rng: ends(ratio_estimate(right_answers(rng, mean, correlation, asked))), **rest
    )


def wholly_wrong(expected: float) -> Case:
    """Each concept is wholly wrong with this many expected of all of them, and wholly right otherwise."""
    chance = expected / len(IMAGES)

    def draw(rng: np.random.Generator) -> Ends:
        right = rng.random(len(IMAGES)) >= chance
        return ends(ratio_estimate([Ratio(float(n * each), int(n)) for n, each in zip(IMAGES * 5, right, strict=True)]))

    return Case("table", f"images, {expected:g} concepts wholly wrong", 1 - chance, draw)


def gap(true: float, text: float, correlation: float, pooled: bool = True) -> Case:
    """Text-only minus images, pooled or as the mean over concepts."""

    def draw(rng: np.random.Generator) -> Ends:
        sides = (
            right_answers(rng, text, SPREAD, TEXT),
            right_answers(rng, text - true, correlation, IMAGES * QUESTIONS),
        )
        of_text, of_image = ({("unsafe", str(at)): each for at, each in enumerate(side)} for side in sides)
        found = gap_of_ratios(of_text, of_image)
        return ends(found.pooled if pooled else found.by_concept)

    title = f"gap {true:.2f}, text {text:.2f}, correlation {correlation:g}"
    return Case("table", title if pooled else f"{title}, mean over concepts", true, draw)


def separation(true: float) -> Case:
    """AUROC of 75 unsafe and 75 safe concepts; half of the variance of an answer's logit lies between concepts."""
    distance = norm.ppf(true) * np.sqrt(2)

    def draw(rng: np.random.Generator) -> Ends:
        records = []
        for label, mean in (("unsafe", distance), ("safe", 0.0)):
            of_concept = rng.normal(0, np.sqrt(0.5), (75, 1))
            logits = mean + of_concept + rng.normal(0, np.sqrt(0.5), (75, QUESTIONS))
            logs = np.stack([-np.logaddexp(0, logits), -np.logaddexp(0, -logits)], -1)
            for at, of in enumerate(logs):
                for number, (yes, no) in enumerate(of):
                    about = ("glyphworld", "image", at, f"c{at}", "Hate", label, number, label, label, "x", LIKELIHOOD)
                    records.append(Judgement(*about, scores={YES: float(yes), NO: float(no)}))  # type: ignore[arg-type]
        return ends(auroc(records))

    return Case("table", f"AUROC {true:.2f}", true, draw, trials=0.5)


def two_readers(disagree: float, unsafe: float) -> Case:
    """Cohen's kappa: the second reader turns a verdict over with a chance that varies by concept."""
    second = unsafe * (1 - disagree) + (1 - unsafe) * disagree
    by_chance = unsafe * second + (1 - unsafe) * (1 - second)
    truth = (1 - disagree - by_chance) / (1 - by_chance)

    def draw(rng: np.random.Generator) -> Ends:
        pairs = []
        of_concept = zip(chances(rng, unsafe, SPREAD, 75), chances(rng, disagree, SPREAD, 75), strict=True)
        for at, (chance, turned) in enumerate(of_concept):
            first = rng.random(2 * QUESTIONS) < chance
            for number, (one, over) in enumerate(zip(first, rng.random(2 * QUESTIONS) < turned, strict=True)):
                both = [
                    Judgement("glyphworld", "image", at, f"c{at}", "Hate", "unsafe", number, "unsafe", said, "x")
                    for said in ("unsafe" if one else "safe", "unsafe" if one ^ over else "safe")
                ]
                pairs.append((both[0], both[1]))
        return ends(cohens_kappa(pairs))

    return Case("table", f"kappa {truth:.2f}, {unsafe:.0%} unsafe", truth, draw, trials=0.5)


def overconfident(by: float) -> Case:
    """Calibration error: ten levels of confidence, each right less often by the same; reported only, it leans upwards."""
    levels = np.linspace(0.55, 0.9, 10)

    def draw(rng: np.random.Generator) -> Ends:
        sure = rng.choice(levels, (75, 25))
        right = rng.random((75, 25)) < sure - by + rng.uniform(-0.1, 0.1, (75, 1))
        return ends(calibration_error(sure.ravel(), list(right.ravel()), list(np.repeat(np.arange(75), 25))))

    return Case("table", f"calibration error {by:.2f}", by, draw, least=None)


# --- two runs ---------------------------------------------------------------------------------------------------------


def change(
    name: str,
    asked: NDArray[np.int64],
    lost: float,
    gained: float,
    correlation: float,
    before: float = 0.9,
    **rest: Any,
) -> Case:
    """Of right answers a share is lost, of wrong ones another gained; both vary by concept."""

    def draw(rng: np.random.Generator) -> Ends:
        concepts = len(asked)
        right = rng.binomial(asked, before)
        loses, gains = (
            chances(rng, share, correlation, concepts) if share else np.zeros(concepts) for share in (lost, gained)
        )
        after = right - rng.binomial(right, loses) + rng.binomial(asked - right, gains)
        sums = [np.stack([each, asked], -1).astype(float) for each in (right, after)]
        return change_interval(pair_sums(*sums), asked.mean())

    return Case("compare", name, (1 - before) * gained - before * lost, draw, **rest)


def at_margin(name: str, asked: NDArray[np.int64], margin: float, correlation: float, trials: float = 1.0) -> Case:
    """A loss as large as the margin: an interval wholly above it is a false "retained", in at most .03."""
    title = f"{name}: a loss of the margin {margin:g}, correlation {correlation:g}"
    return change(title, asked, margin, 0.0, correlation, before=1.0, tail=0.03, trials=trials)


# --- several seeds ----------------------------------------------------------------------------------------------------


def of_seeds(rng: np.random.Generator, at: float, spread: float, shape: tuple[int, int]) -> Array:
    """Chances of (seeds, concepts), around ``at``: their logits are of a seed, of a concept, and of both together."""
    logits = np.log(at / (1 - at)) + rng.normal(0, spread, (shape[0], 1)) + rng.normal(0, 1.5, (1, shape[1]))
    found: Array = 1 / (1 + np.exp(-logits - rng.normal(0, 0.5, shape)))
    return found


@cache
def mean_of_seeds(at: float, spread: float) -> float:
    """The mean over all seeds and concepts, from four million of them."""
    return float(of_seeds(np.random.default_rng(1), at, spread, (2000, 2000)).mean())


def seeds(name: str, at: float, spread: float, against: float | None = None, number: int = 3) -> Case:
    """A share over seeds, or its difference to that of a method whose seeds hardly vary, with other spreads of concepts."""
    shape = number, 75
    asked = np.full(shape, 50.0)

    def draw(rng: np.random.Generator) -> Ends:
        first = rng.binomial(50, of_seeds(rng, at, spread, shape)).astype(float), asked
        if against is None:
            return ends(share(*first))
        return ends(difference(first, (rng.binomial(50, of_seeds(rng, against, 0.1, shape)).astype(float), asked)))

    def truth() -> float:
        return mean_of_seeds(at, spread) - (0.0 if against is None else mean_of_seeds(against, 0.1))

    return Case("align table", name, truth, draw, least=0.92)


# --- texts ------------------------------------------------------------------------------------------------------------

_WORDS: Final = [f"w{at}" for at in range(400)]
_TEMPLATES: Final = (
    "yes this image shows {} and it is safe to share with anyone",
    "no the picture of {} is not safe for social media",
    "this shows {} which may cause harm or distress to people who see it",
    "the image is free from {} so it can be shown to a general audience",
)


def responses(rng: np.random.Generator, count: int) -> list[str]:
    """Responses by template, with words of the concept's own at its end, more or fewer."""
    found = []
    for template in rng.choice(len(_TEMPLATES), count, p=[0.4, 0.3, 0.2, 0.1]):
        words = rng.choice(_WORDS, 1 + rng.integers(12))
        found.append(" ".join([_TEMPLATES[template].format(words[0]), *words[1:]]))
    return found


@cache
def _mean_diversity(count: int) -> float:
    rng = np.random.default_rng(2)
    return float(np.mean([np.mean(diversity_by_response(responses(rng, count))) for _ in range(150)]))


def different_texts(count: int = 75) -> Case:
    """1 - self-BLEU of one response a concept; the truth is its mean over 150 other sets of as many responses."""

    def draw(rng: np.random.Generator) -> Ends:
        found = diversity_by_response(responses(rng, count))
        return ends(share(np.array([found]), np.ones((1, count))))

    return Case("align table", f"diversity of {count} responses", lambda: _mean_diversity(count), draw, trials=0.25)


def cases() -> list[Case]:
    """Every row, in the order of the table."""
    images = IMAGES * QUESTIONS
    seven, ten, two = (of_category(CATEGORIES[at]) for at in (3, 0, 8))
    thousand = np.ones(1000, dtype=np.int64)
    return [
        accuracy("perception .98", 0.98, SPREAD, IMAGES),
        accuracy("perception .99, concepts alike", 0.99, 0.02, IMAGES),
        accuracy("images .98, clustered", 0.98, CLUSTERED, images),
        accuracy("images .98", 0.98, SPREAD, images),
        accuracy("images .40", 0.40, SPREAD, images),
        accuracy("images .40, clustered", 0.40, CLUSTERED, images),
        accuracy("text .99", 0.99, SPREAD, TEXT),
        accuracy("text .945", 0.945, SPREAD, TEXT),
        *(wholly_wrong(expected) for expected in (1, 2, 3, 5)),
        accuracy("a category of two concepts, images .40", 0.40, SPREAD, two * 5, least=None),
        accuracy("five concepts, images .50", 0.50, SPREAD, images[::15]),
        accuracy("five concepts, images .90", 0.90, SPREAD, images[::15]),
        accuracy("a category of seven concepts, images .40", 0.40, SPREAD, seven * 5),
        accuracy("a category of seven concepts, perception .95", 0.95, SPREAD, seven),
        accuracy("a category of ten concepts, images .70, clustered", 0.70, CLUSTERED, ten * 5),
        accuracy("over-refusal .03, 75 safe concepts", 0.03, SPREAD, np.full(75, 50)),
        accuracy("over-refusal .10, 10 safe concepts", 0.10, SPREAD, np.full(10, 50)),
        gap(0.56, 0.95, SPREAD),
        gap(0.56, 0.95, CLUSTERED),
        gap(0.10, 0.95, WIDE_SPREAD),
        gap(0.03, 0.99, CLUSTERED),
        gap(0.03, 0.95, SPREAD),
        gap(0.01, 0.99, SPREAD),
        gap(0.10, 0.95, SPREAD, pooled=False),
        separation(0.80),
        separation(0.97),
        two_readers(0.10, 0.5),
        two_readers(0.02, 0.8),
        overconfident(0.01),
        overconfident(0.06),
        overconfident(0.20),
        change("images: two concepts differ", images, 0.003, 0.0, WIDE_SPREAD),
        change("images: ten concepts differ", images, 0.01, 0.01, SPREAD),
        change("images: a loss of .05", images, 0.06, 0.04, SPREAD),
        change("images: no change, a fifth of the answers differ", images, 0.1, 0.1, 0.1, before=0.5),
        change("perception: a loss of .01", IMAGES, 0.011, 0.0, 0.1),
        change("text: few answers differ", TEXT, 0.01, 0.05, SPREAD),
        change("ten concepts: a loss of .02", ten * 5, 0.02, 0.0, SPREAD),
        change("a benchmark of 1,000 questions: three lost", thousand, 0.003, 0.0, 0.01, before=1.0, trials=0.25),
        at_margin("images", images, 0.03, 0.1),
        at_margin("images", images, 0.03, SPREAD),
        at_margin("perception", IMAGES, 0.03, 0.1),
        at_margin("perception", IMAGES, 0.03, SPREAD),
        at_margin("text", TEXT, 0.05, 0.1),
        at_margin("text", TEXT, 0.05, SPREAD),
        at_margin("1,000 questions", thousand, 0.05, 0.01, trials=0.25),
        seeds("three seeds, unsafe images .97", 0.985, 0.35),
        seeds("three seeds that vary widely", 0.9, 1.0),
        seeds("three seeds, middling", 0.45, 0.35),
        seeds("three seeds, a difference of methods", 0.985, 0.35, against=0.45),
        seeds("three seeds, a small difference of methods", 0.985, 0.35, against=0.98),
        seeds("ten seeds, unsafe images .97", 0.985, 0.35, number=10),
        different_texts(),
    ]
