"""What answers are like, as tables: ratings by judges and people, how far raters agree, and measures without a judge."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Final

from harness_ext.common.errors import UserError
from harness_ext.judges.envelope import opened
from harness_ext.judges.rules.shown import names
from harness_ext.metrics.intervals import ratio_estimate
from harness_ext.metrics.quality import Likeness, likeness, mean_rating, weighted_kappa
from harness_ext.metrics.units import ConceptKey, Estimate, concept_key, ratio_by_unit
from harness_ext.registry import benchmark_named, task_named
from harness_ext.report.blocks import Block, Value, defined, make_block, with_rows
from harness_ext.runs.evaluations import Evaluation
from harness_ext.runs.load import Run
from harness_ext.runs.ratings import CRITERIA, Ratings, read_ratings, request_failed
from harness_ext.runs.samples import read_judged

LIKENESS: Final = "What answers are like: distinct, names what is shown, words an answer"
RATED: Final = "Quality of answers, rated from 1 (worst) to 5 (best)"
RATING_NOTES: Final = (
    "Soundness: is what an answer says well reasoned. Informativeness: does it say what is shown, and why. In brackets: 95 % "
    "interval over concepts.",
    "Where fewer answers are rated than there are, they are a seeded sample, balanced by label and concept, so that each "
    "concept weighs alike. Failed: answers that the judge gave no rating; they are in no mean.",
)
_LIKENESS_NOTE: Final = (
    "Distinct: the share of different texts; it falls with their number, so only equal numbers compare. Names what is shown: "
    "the concept's name, or what it is also called, is in the answer; only of images whose concept is known."
)


# --- of one run -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Quality:
    """The ratings of a run's answers, and what its answers are like, by task."""

    ratings: Mapping[str, Sequence[Ratings]]
    likeness: Mapping[str, Likeness]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "ratings": {task: [ratings_json(each) for each in found] for task, found in self.ratings.items() if found},
            "likeness": {task: asdict(each) for task, each in self.likeness.items()},
        }


def quality_of(run: Run) -> Quality:
    """Read the ratings and the texts of a run's generated answers to alignment questions."""
    tasks = [task for task in run.answers if task_named(task).probe.asks == "alignment"]
    found = {task: texts(run.evaluations[task], task) for task in tasks}
    return Quality(
        {task: read_ratings(run.evaluations[task].samples(task)) for task in tasks},
        {
            task: likeness(said, _names(run.source) if shows_concepts(task) else None)
            for task, said in found.items()
            if said
        },
    )


def _names(source: str) -> Callable[[str, str], bool]:
    """Whether a text names a concept of a benchmark, by its name or another that it has there."""
    also = {each.name: each.also for each in benchmark_named(source).concepts}
    return lambda text, concept: any(names(text, name) for name in (concept, *also.get(concept, ())))


def shows_concepts(task: str) -> bool:
    """Whether the images of a task are of concepts that an answer could name."""
    probe = task_named(task).probe
    return probe.shows == "image" and probe.unit == "concept"


def texts(evaluation: Evaluation, task: str) -> list[tuple[ConceptKey, str]]:
    """The concept and the text of each generated answer to a task, without requests that failed.

    Raises ``UserError`` naming file and line for an answer that is no text.
    """
    found = []
    for line, row, record in read_judged(evaluation, task):
        if not isinstance(response := row.get("filtered_resps"), str):
            where = f"{evaluation.samples(task)}, line {line}"
            raise UserError(f"{where}: no text in 'filtered_resps'. Was it written by another lmms-eval?")
        if not request_failed(record, response):
            found.append((concept_key(record), opened(response).answer))
    return found


def quality_blocks(quality: Quality) -> list[Block]:
    """The tables of a run's quality; none where nothing was asked about alignment."""
    rated = [(title_of(task), each) for task, found in quality.ratings.items() for each in found]
    rows = [
        (title_of(task), each.distinct, each.names or "–", f"{each.words:.1f}", each.answers)
        for task, each in quality.likeness.items()
    ]
    header = ("answers to", "distinct", "names what is shown", "words", "answers")
    return with_rows([ratings_block(rated), make_block(LIKENESS, header, rows, [_LIKENESS_NOTE])])


def title_of(task: str) -> str:
    """What a task asks, for the reader of a table."""
    asked = task_named(task)
    return f"{asked.probe.title}{', sampled' if asked.manner == 'sampled' else ''}"


# --- ratings ----------------------------------------------------------------------------------------------------------


def ratings_block(rated: Iterable[tuple[str, Ratings]]) -> Block:
    """The mean ratings of answers, each under what they answer."""
    rows: Iterable[tuple[Value, ...]] = (
        (
            f"{what}, by {each.head.rater}",
            *[defined(mean_rating(each.by(criterion))) for criterion in CRITERIA],
            len(each.of),
            each.failed,
            each.head.answers,
        )
        for what, each in rated
    )
    return make_block(RATED, ("answers to", *CRITERIA, "rated", "failed", "of"), rows, RATING_NOTES)


def ratings_json(rated: Ratings) -> dict[str, Any]:
    """The mean ratings of answers, and what they rest on, as plain values."""
    return {
        "rater": rated.head.rater,
        **{criterion: asdict(mean_rating(rated.by(criterion))) for criterion in CRITERIA},
        "rated": len(rated.of),
        "failed": rated.failed,
        "of": rated.head.answers,
        "rubric": rated.head.rubric,
        "rubric_sha256": rated.head.rubric_sha256,
        "seed": rated.head.seed,
    }


# --- how far raters agree ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RaterAgreement:
    """Two raters on the answers that both have rated, by one criterion: weighted kappa, and the share of equal grades."""

    first: str
    second: str
    criterion: str
    kappa: Estimate
    equal: Estimate


def rater_agreements(tasks: Iterable[Sequence[Ratings]]) -> list[RaterAgreement]:
    """Every two raters who rated the same answers by the same rubric, over all tasks and runs, from each one's ratings."""
    graded: dict[tuple[str, str, str], list[tuple[ConceptKey, int, int]]] = {}
    for ratings in tasks:
        for one, other in combinations(ratings, 2):
            common = [key for key in one.of if key in other.of and one.head.rubric_sha256 == other.head.rubric_sha256]
            for at, criterion in enumerate(CRITERIA if common else ()):
                pairs = [(key[1:3], one.of[key][at], other.of[key][at]) for key in common]
                graded.setdefault((one.head.rater, other.head.rater, criterion), []).extend(pairs)
    return [RaterAgreement(*between, weighted_kappa(pairs), _equal(pairs)) for between, pairs in graded.items()]


def _equal(graded: Iterable[tuple[ConceptKey, int, int]]) -> Estimate:
    return ratio_estimate(ratio_by_unit((concept, a == b) for concept, a, b in sorted(graded)).values())


def agreement_block(found: Sequence[RaterAgreement]) -> Block:
    """Agreement as a table."""
    rows = (
        (
            f"{each.first} – {each.second}",
            each.criterion,
            defined(each.kappa, signed=True),
            each.equal,
            each.equal.n_answers,
        )
        for each in found
    )
    note = (
        "Kappa has quadratic weights: a disagreement counts by its square. Where nearly all ratings are the same one, it is "
        "small or not defined: read the share of equal ratings too."
    )
    return make_block(
        "Agreement of raters", ("raters", "criterion", "weighted kappa", "equal", "answers"), rows, [note]
    )
