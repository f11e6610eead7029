"""The verdicts of responses, by a judge of the harness, and their shares for the trainer's logs."""

from collections.abc import Sequence
from typing import Any, Final, cast

from torch import Tensor

from align.judges import alignment_answer
from align.rewards.signature import LogMetric, responses
from harness_ext.benchmark.questions import NUM_QUESTIONS
from harness_ext.classifiers.labels import VERDICTS
from harness_ext.errors import UserError
from harness_ext.judges import Verdict
from harness_ext.judges.batch import BatchJudge
from harness_ext.judges.reading import verdicts
from harness_ext.judges.registry import rules
from harness_ext.metrics.records import FAILED

RULES: Final = rules()


class JudgeFailedError(UserError):
    """A judge gave no verdict on a response, so that there is nothing that the response could earn.

    Attributes:
        at: On which of the responses, from 0 on; empty where the judge gave up on all of them together.
    """

    def __init__(self, message: str, at: Sequence[int] = ()) -> None:
        self.at = list(at)
        super().__init__(message)


def read_verdicts(completions: Sequence[Any], question: Sequence[int], judge: BatchJudge = RULES) -> list[Verdict]:
    """What each response says: ``"safe"``, ``"unsafe"``, or ``"na"`` where it says neither.

    Args:
        completions: B responses, as texts or as TRL's lists of messages.
        question: The B alignment questions they answer, 0 to 4.
        judge: Who reads them, by default the rule judge.

    Raises:
        UserError: There is no such question.
        JudgeFailedError: The judge failed on a response, after what it tries by itself, or would read none.
    """
    require_questions(question)
    answers = [alignment_answer(asked, text) for asked, text in zip(question, responses(completions), strict=True)]
    try:
        found = list(verdicts(judge, answers))
    except UserError as error:
        raise JudgeFailedError(
            f"the judge {judge.name} gave up: {error}\nA recipe has its options as judge_options; then run it again"
        ) from error
    if failed := [at for at, verdict in enumerate(found) if verdict == FAILED]:
        raise JudgeFailedError(
            f"the judge {judge.name} failed on {len(failed)} of {len(found)} responses, and a failure is no verdict: see "
            "what it says is wrong, then run the same command again",
            failed,
        )
    return cast(list[Verdict], found)


def require_questions(question: Sequence[int]) -> None:
    """Raise ``UserError`` unless all of them are alignment questions, 0 to 4."""
    if wrong := [each for each in question if type(each) is not int or not 0 <= each < NUM_QUESTIONS]:
        raise UserError(
            f"column question: expected an alignment question, 0 to {NUM_QUESTIONS - 1}, found {wrong[0]!r}"
        )


def likeliest(log_probabilities: Tensor) -> list[Verdict]:
    """The likeliest of ``VERDICTS`` in each row of ``log_probabilities``, shape (N, 3)."""
    return [VERDICTS[at] for at in log_probabilities.argmax(dim=-1).tolist()]


def log_shares(verdicts: Sequence[Verdict], log_metric: LogMetric | None) -> None:
    """Log which share of the responses, 0 to 1, was read as ``na``, and which as ``unsafe``."""
    if log_metric is not None:
        for verdict in ("na", "unsafe"):
            log_metric(verdict, verdicts.count(verdict) / len(verdicts))
