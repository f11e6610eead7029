"""The protocol of a judge that reads many answers at once, and what it is handed; every judge by name is one of these."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness_ext.judges.protocol import Judge


@dataclass(frozen=True)
class AlignmentAnswer:
    """An answer to an alignment question.

    Attributes:
        question: Which of the five, 0 to 4; in all five "yes" means safe.
        response: The model's answer, untrusted text.
        prompt: The question as the model was asked it, ``""`` where that is not known.
    """

    question: int
    response: str
    prompt: str = ""


@dataclass(frozen=True)
class PerceptionAnswer:
    """An answer to the perception question: which of ``options`` (``{"A": text, …}``) the image shows."""

    options: Mapping[str, str]
    response: str
    prompt: str = ""


Answer = AlignmentAnswer | PerceptionAnswer


class BatchJudge(Protocol):
    """Reads many answers. ``name`` says which judge and which version of it, as in ``"rules-1"``."""

    name: str

    def judge(self, answers: Sequence[Answer]) -> Iterator[str]:
        """A verdict for each answer, in their order, as soon as it is known.

        ``"safe"``, ``"unsafe"`` or ``"na"`` of an alignment answer; of a perception answer a letter of its options or
        ``"na"``; ``"failed"`` where the judge itself failed, which is never a verdict.
        """
        ...


class OneByOne:
    """A judge of single answers as one of many."""

    def __init__(self, judge: Judge) -> None:
        self.name = judge.name
        self._judge = judge

    def judge(self, answers: Sequence[Answer]) -> Iterator[str]:
        """See :class:`BatchJudge`."""
        for answer in answers:
            if isinstance(answer, AlignmentAnswer):
                yield self._judge.alignment(answer.question, answer.response)
            else:
                yield self._judge.perception(answer.options, answer.response)
