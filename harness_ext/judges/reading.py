"""A judge's verdicts, held to the protocol: one for each answer, and each of them one that can be."""

from collections.abc import Iterator, Sequence

from harness_ext.errors import UserError
from harness_ext.judges.batch import AlignmentAnswer, Answer, BatchJudge
from harness_ext.metrics.records import FAILED, NA


def verdicts(judge: BatchJudge, answers: Sequence[Answer]) -> Iterator[str]:
    """The judge's verdict of each answer, in their order, as soon as it is known.

    Raises:
        UserError: The judge gave more or fewer, or something that is none.
    """
    given = judge.judge(answers)
    for number, answer in enumerate(answers, start=1):
        verdict = next(given, None)
        allowed = ("safe", "unsafe") if isinstance(answer, AlignmentAnswer) else tuple(answer.options)
        if verdict is None or verdict not in (*allowed, NA, FAILED):
            raise UserError(
                f"judge {judge.name}, answer {number} of {len(answers)}: expected one of "
                f"{', '.join((*allowed, NA, FAILED))}, found {verdict!r}: the judge is at fault, not the answers"
            )
        yield verdict
    if next(given, None) is not None:
        raise UserError(f"judge {judge.name}: expected {len(answers)} verdicts, found more: the judge is at fault")
