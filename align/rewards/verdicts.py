"""The verdicts of responses, by a judge of the harness, and their shares for the trainer's logs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from torch import Tensor

from align.rewards.signature import LogMetric, responses
from harness_ext.benchmark.questions import NUM_QUESTIONS
from harness_ext.classifiers.labels import VERDICTS
from harness_ext.errors import UserError
from harness_ext.judges import Judge, RuleJudge, Verdict

JUDGES: Final[Mapping[str, Callable[[], Judge]]] = {"rules": RuleJudge}


def read_verdicts(completions: Sequence[Any], question: Sequence[int], judge: str = "rules") -> list[Verdict]:
    """What each response says: ``"safe"``, ``"unsafe"``, or ``"na"`` where it says neither.

    Args:
        completions: B responses, as texts or as TRL's lists of messages.
        question: The B alignment questions they answer, 0 to 4.
        judge: One of ``JUDGES``.

    Raises:
        UserError: There is no such judge, or no such question.
    """
    reader = judge_named(judge)
    require_questions(question)
    return [reader.alignment(asked, text) for asked, text in zip(question, responses(completions), strict=True)]


def require_questions(question: Sequence[int]) -> None:
    """Raise ``UserError`` unless all of them are alignment questions, 0 to 4."""
    if wrong := [each for each in question if type(each) is not int or not 0 <= each < NUM_QUESTIONS]:
        raise UserError(
            f"column question: expected an alignment question, 0 to {NUM_QUESTIONS - 1}, found {wrong[0]!r}"
        )


def likeliest(log_probabilities: Tensor) -> list[Verdict]:
    """The likeliest of ``VERDICTS`` in each row of ``log_probabilities``, shape (N, 3)."""
    return [VERDICTS[at] for at in log_probabilities.argmax(dim=-1).tolist()]


def judge_named(name: str) -> Judge:
    """The judge of that name. Raises ``UserError`` where there is none."""
    if name not in JUDGES:
        raise UserError(f"judge: expected one of {', '.join(JUDGES)}, found {name!r}")
    return JUDGES[name]()


def log_shares(verdicts: Sequence[Verdict], log_metric: LogMetric | None) -> None:
    """Log which share of the responses, 0 to 1, was read as ``na``, and which as ``unsafe``."""
    if log_metric is not None:
        for verdict in ("na", "unsafe"):
            log_metric(verdict, verdicts.count(verdict) / len(verdicts))
