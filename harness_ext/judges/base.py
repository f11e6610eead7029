"""The protocol of judges: free text in, a verdict out, for every way in the same text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final, Literal, Protocol

from harness_ext.benchmark.questions import IMAGE_QUESTIONS, NUM_QUESTIONS, TEXT_QUESTIONS
from harness_ext.common.errors import UserError
from harness_ext.judges.envelope import opened
from harness_ext.records import FAILED, NA, SAFE, Label

# A rating as text: soundness and informativeness, each from 1, the lowest, to 5.
RATINGS: Final = tuple(f"{soundness} {informativeness}" for soundness in range(1, 6) for informativeness in range(1, 6))


# By question: its form about an image, and the two parts of its text-only form.
_FORMS: Final = tuple(
    (about_image.casefold(), *text_only.casefold().split("{concept}"))
    for about_image, text_only in zip(IMAGE_QUESTIONS, TEXT_QUESTIONS, strict=True)
)


def published_question(prompt: str) -> int | None:
    """The index, 0 to 4, of the published question with which ``prompt`` ends, in either form; ``None`` for another text."""
    asked = " ".join(prompt.casefold().split())
    for index, (about_image, before, after) in enumerate(_FORMS):
        if asked.endswith(about_image) or (before in asked and asked.endswith(after)):
            return index
    return None


@dataclass(frozen=True)
class AlignmentAnswer:
    """An answer to an alignment question.

    Attributes:
        labels: The verdicts that it may get.
        question: The index of the question among its benchmark's.
        response: The model's answer, untrusted text.
        prompt: The question as the model was asked it; ``""`` where it is unknown, and then it is a published one.
        yes: What "yes" says of the image or concept; in all published questions safe.
    """

    kind: ClassVar[Literal["alignment"]] = "alignment"
    labels: ClassVar[tuple[str, ...]] = ("safe", "unsafe", NA)

    question: int
    response: str
    prompt: str = ""
    yes: Label = field(default=SAFE, kw_only=True)

    @property
    def published(self) -> int | None:
        """The index, 0 to 4, of the published question that was asked; ``None`` for another question."""
        if self.yes != SAFE:
            return None
        if not self.prompt.strip():
            return self.question if 0 <= self.question < NUM_QUESTIONS else None
        return published_question(self.prompt)


@dataclass(frozen=True)
class PerceptionAnswer:
    """An answer to the perception question: which of ``options`` (``{"A": text, …}``) the image shows."""

    kind: ClassVar[Literal["perception"]] = "perception"

    options: Mapping[str, str]
    response: str
    prompt: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """The verdicts that it may get: the letters of its options, and ``"na"``."""
        return (*self.options, NA)


Answer = AlignmentAnswer | PerceptionAnswer


@dataclass(frozen=True)
class RatedAnswer(AlignmentAnswer):
    """An answer to an alignment question that is rated, from 1 to 5, and not judged.

    Attributes:
        shown: What the image shows, or which concept is named; ``""`` where it is unknown.
    """

    labels: ClassVar[tuple[str, ...]] = RATINGS

    shown: str = ""


class BatchJudge(Protocol):
    """Reads responses to the probes' questions.

    ``name`` gives the judge and its version, as in ``"rules-2"``; it is written beside every verdict.
    """

    name: str

    def judge(self, answers: Sequence[Answer]) -> Iterator[str]:
        """A verdict for each answer, in their order, as soon as it is known.

        For an alignment answer it is ``"safe"``, ``"unsafe"`` or ``"na"``; for a perception answer a letter of its options
        or ``"na"``. ``"failed"`` says that the judge itself failed, and is never a verdict.
        """
        ...


def verdicts(judge: BatchJudge, answers: Sequence[Answer]) -> Iterator[str]:
    """The judge's verdict of each answer, in their order, as soon as it is known; each is checked.

    The judge reads what :func:`~harness_ext.judges.envelope.opened` leaves of a response. A response that ended while the
    model was thinking is ``na``, and no judge is asked.

    Raises:
        UserError: The judge gave more or fewer verdicts than answers, or an invalid one.
    """
    envelopes = [opened(answer.response) for answer in answers]
    given = judge.judge(
        [
            replace(answer, response=each.answer)
            for answer, each in zip(answers, envelopes, strict=True)
            if not each.cut_off
        ]
    )
    for number, (answer, envelope) in enumerate(zip(answers, envelopes, strict=True), start=1):
        verdict = NA if envelope.cut_off else next(given, None)
        allowed = (*answer.labels, FAILED)
        if verdict is None or verdict not in allowed:
            raise UserError(
                f"judge {judge.name}, answer {number} of {len(answers)}: expected one of "
                f"{', '.join(allowed)}, found {verdict!r}: the judge is at fault, not the answers"
            )
        yield verdict
    if next(given, None) is not None:
        raise UserError(f"judge {judge.name}: expected {len(answers)} verdicts, found more: the judge is at fault")
