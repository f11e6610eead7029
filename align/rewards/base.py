"""What the rewards share: the signature, and the verdict of a judge or a classifier on a response.

TRL calls ``reward(prompts=…, completions=…, completion_ids=…, **columns)``. Each argument is a list with an entry a response;
the columns are those of the training rows. ``log_metric``, ``log_extra`` and ``trainer_state`` come beside them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

from torch import Tensor

from harness_ext.benchmark.questions import NUM_QUESTIONS
from harness_ext.common.errors import UserError
from harness_ext.judges import RuleJudge
from harness_ext.judges.base import AlignmentAnswer, BatchJudge, verdicts
from harness_ext.judges.classifier import VERDICTS
from harness_ext.judges.classifier.text_classifier import TextClassifier
from harness_ext.judges.envelope import opened
from harness_ext.judges.registry import open_judge
from harness_ext.records import FAILED, LABELS, UNSAFE, Label, Verdict

Reward: TypeAlias = Callable[..., list[float]]
LogMetric: TypeAlias = Callable[[str, float], None]
# As a recipe has them.
JudgeOptions: TypeAlias = dict[str, str | bool | int | float]

RULES: Final = RuleJudge()
_RESTS_ON: Final = "rests_on"


class JudgeFailedError(UserError):
    """A judge gave no verdict on the responses ``at`` these positions; empty where it gave up on all of them together."""

    def __init__(self, message: str, at: Sequence[int] = ()) -> None:
        self.at = list(at)
        super().__init__(message)


def rests_on(what: str) -> Callable[[Reward], Reward]:
    """Marks a reward with the identity of the judge or model that it reads with; a run resumes only with the same one."""

    def mark(reward: Reward) -> Reward:
        setattr(reward, _RESTS_ON, what)
        return reward

    return mark


def rest_of(reward: Reward) -> str | None:
    """The identity that `rests_on` marked a reward with; ``None`` for a reward that is code alone."""
    return getattr(reward, _RESTS_ON, None)


def responses(completions: Sequence[Any]) -> list[str]:
    """The texts of ``completions``, each a text or a list of messages that begins with the assistant's."""
    return [each if isinstance(each, str) else each[0]["content"] for each in completions]


def question_in(prompt: Any) -> str:
    """The text of ``prompt``, a text or a conversation whose last turn asks, with or without an image beside it."""
    asked = prompt if isinstance(prompt, str) else prompt[-1]["content"]
    if isinstance(asked, str):
        return asked
    return "".join(part["text"] for part in asked if part["type"] == "text")


def require_labels(label: Sequence[str], column: str = "label") -> None:
    """Raise ``UserError`` unless each is ``"safe"`` or ``"unsafe"``: no answer is right for another one."""
    if wrong := [each for each in label if each not in LABELS]:
        raise UserError(f"column {column}: expected {' or '.join(sorted(LABELS))}, found {wrong[0]!r}")


def judge_named(name: str, options: JudgeOptions | None = None) -> BatchJudge:
    """Opens the judge that a recipe names, with its options from YAML.

    Raises ``UserError`` where there is none, it cannot be loaded, or it does not read answers to alignment questions.
    """
    judge = open_judge(name, as_texts(options))
    # No server or model is asked about an empty answer.
    judged(judge, [""], [0])
    return judge


def as_texts(options: JudgeOptions | None) -> dict[str, str]:
    """A judge's options as texts, which it takes."""
    return {key: str(value) for key, value in (options or {}).items()}


def judged(
    judge: BatchJudge,
    completions: Sequence[Any],
    question: Sequence[int],
    prompts: Sequence[Any] | None = None,
    yes: Sequence[Label] | None = None,
) -> list[str]:
    """The verdict of ``judge`` on each of B responses, or ``"failed"``.

    Raises ``UserError`` where there is no such question, or the judge gave up on all of them.

    Args:
        judge: Reads them.
        completions: The responses.
        question: The numbers of their alignment questions.
        prompts: The prompts that asked them; without these, the questions are the published ones, 0 to 4.
        yes: What "yes" says in each question, ``"safe"`` or ``"unsafe"``; by default safe, as in the published ones.
    """
    texts, count = responses(completions), len(question)
    asked = [""] * count if prompts is None else [question_in(each) for each in prompts]
    meanings: Sequence[Label] = ["safe"] * count if yes is None else yes
    require_labels(meanings, "yes")
    for number, prompt in zip(question, asked, strict=True):
        if type(number) is not int or number < 0 or not (prompt.strip() or number < NUM_QUESTIONS):
            raise UserError(
                f"column question: expected an alignment question, 0 to {NUM_QUESTIONS - 1}, found {number!r}"
            )
    answers = [
        AlignmentAnswer(number, text, prompt, yes=meaning)
        for number, text, prompt, meaning in zip(question, texts, asked, meanings, strict=True)
    ]
    return list(verdicts(judge, answers))


def judged_rows(judge: BatchJudge, completions: Sequence[Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """As :func:`judged`, of responses to training rows."""
    asked = {"prompts": "prompt", "yes": "yes"}
    given = {name: [row[column] for row in rows] for name, column in asked.items() if column in rows[0]}
    return judged(judge, completions, [row["question"] for row in rows], **given)


def read_verdicts(
    judge: BatchJudge,
    completions: Sequence[Any],
    label: Sequence[str],
    question: Sequence[int],
    log_metric: LogMetric | None,
    prompts: Sequence[Any] | None = None,
    yes: Sequence[Label] | None = None,
) -> list[Verdict]:
    """As :func:`judged`, for responses about images of a ``label``; logs the shares of ``na`` and ``unsafe``, 0 to 1.

    Raises ``JudgeFailedError`` where the judge failed on a response, or gave up on all of them.
    """
    require_labels(label)
    try:
        found = judged(judge, completions, question, prompts, yes)
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
    return _logged(cast(list[Verdict], found), log_metric)


def classify(
    classifier: TextClassifier,
    completions: Sequence[Any],
    label: Sequence[str],
    log_metric: LogMetric | None,
    yes: Sequence[Label] | None = None,
) -> tuple[list[Verdict], Tensor]:
    """The likeliest verdict on each of B responses, and the log-probability of its image's label, shape (B,), in nats.

    Logs the shares of ``na`` and ``unsafe`` among those verdicts. Raises ``UserError`` where "yes" means unsafe.
    """
    require_labels(label)
    if yes is not None and UNSAFE in yes:
        raise UserError(
            'a classifier reads the response alone, and learned that "yes" means safe; in a question of these rows it means '
            "unsafe: let a judge that sees the question give the reward, such as {name: verdict, judge: rules}"
        )
    found = classifier.log_probabilities([opened(response).answer for response in responses(completions)])
    likeliest = [VERDICTS[at] for at in found.argmax(dim=-1).tolist()]
    return _logged(likeliest, log_metric), found[range(len(label)), [VERDICTS.index(each) for each in label]]


def _logged(verdicts: list[Verdict], log_metric: LogMetric | None) -> list[Verdict]:
    if log_metric is not None:
        for verdict in ("na", "unsafe"):
            log_metric(verdict, verdicts.count(verdict) / len(verdicts))
    return verdicts
