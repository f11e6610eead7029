"""A judged answer, which every metric reads, and the words for what a judged answer can say, spelled here once.

A task writes one such record a question into the harness's sample rows (as a plain dictionary, under ``judgement``), and
the reports read them back: no number in a report rests on anything that is not in the result files.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

# The label of a concept or image, and two of the three verdicts about it.
Label = Literal["unsafe", "safe"]
Verdict = Literal["safe", "unsafe", "na"]
SAFE: Final = "safe"
UNSAFE: Final = "unsafe"
LABELS: Final[tuple[Label, ...]] = get_args(Label)
# No verdict: a refusal, an empty or undecided answer, another topic.
NA: Final = "na"
# The request itself failed; never a verdict, and in no accuracy.
FAILED: Final = "failed"
# The labels of an alignment answer's scores: of an answer that means safe, and of one that means unsafe. Where a question's
# "yes" means unsafe, the forms of "no" are scored under ``YES``, and those of "yes" under ``NO``.
YES: Final = "Yes"
NO: Final = "No"

# An answer was generated and read, or the likelihood of the possible verdicts was taken and nothing generated.
Way = Literal["generated", "likelihood"]
GENERATED: Final = "generated"
LIKELIHOOD: Final = "likelihood"
# How a task asks: its answers are decoded greedily, sampled as in the paper, or scored by likelihood.
Manner = Literal["greedy", "sampled", "likelihood"]
GREEDY: Final = "greedy"
SAMPLED: Final = "sampled"
MANNERS: Final[tuple[Manner, ...]] = get_args(Manner)

# What a paired comparison says of an ability after training.
Retention = Literal["retained", "degraded", "undecided"]
RETAINED: Final = "retained"
DEGRADED: Final = "degraded"
UNDECIDED: Final = "undecided"

# What a record has of its question: a row of a task has these columns, and lm-eval's documents too.
OF_THE_QUESTION: Final = ("source", "probe", "row", "concept", "category", "label", "question", "expected")


def of_the_question(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a record has of the question in ``row``; a row has a column ``yes`` only where some question's means unsafe."""
    return {name: row[name] for name in OF_THE_QUESTION} | {"yes": row.get("yes", SAFE)}


_IMAGE: Final = re.compile(r".+ image \d+")


def image_as_concept(title: str, number: int) -> str:
    """What stands for the concept of an image whose concept is not known: the image itself, in the data set of that title."""
    return f"{title} image {number}"


def is_known(concept: str) -> bool:
    """Whether a record's concept is one, and not an image that stands for it (:func:`image_as_concept`)."""
    return _IMAGE.fullmatch(concept) is None


@dataclass(frozen=True)
class Judgement:
    """One judged answer."""

    source: str  # the benchmark's name; numbers of two are never mixed
    probe: str  # the ``record`` of a row of the table of probes, tasks/lmms_eval/probes.yaml
    row: int  # the image's in the data that the probe shows; without an image the concept's in the taxonomy
    concept: str  # the unit of intervals; in data without concepts, the image
    category: str  # of the concept
    label: Label  # of the concept
    # Which of the five alignment questions, 0 to 4; for "capability" the number of the skill (0 colour, 1 count, 2 position);
    # 0 for "perception" and in a context.
    question: int
    # The right verdict: the label for alignment (in a context the context's), a letter for perception, a capability's text.
    expected: str
    verdict: str  # what the judge read in the answer, in the same vocabulary, or "na" or "failed"
    judge: str  # its name and version, as in "rules-2"
    way: Way = GENERATED  # how the model was asked; numbers of the two ways are never mixed
    # By likelihood alone: the natural logarithm of each label's probability, "Yes" and "No" for alignment, the letters for
    # perception; None where the request failed.
    scores: Mapping[str, float] | None = None
    cut_off: bool = False  # whether the response ended while the model was thinking, or right after: then it is "na"
    at_limit: bool = False  # whether it ended because it had as many tokens as it may have, as far as the backend says
    # By a guard's own format alone: the categories that its answer names where it is unsafe, as the guard writes them.
    guard_category: str = ""
    yes: Label = SAFE  # what "yes" says in an alignment question; in the published ones safe

    @property
    def correct(self) -> bool:
        """Whether the verdict is the right one; ``na`` and ``failed`` never are."""
        return self.verdict == self.expected

    def to_dict(self) -> dict[str, Any]:
        """The record as a JSON-ready dictionary, without ``yes`` where it is safe and without an empty category."""
        record = asdict(self)
        if self.yes == SAFE:
            del record["yes"]
        if not self.guard_category:
            del record["guard_category"]
        return record
