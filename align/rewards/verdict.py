"""The rewards of one reading of the response: right or wrong for the image's label, by a judge or by a text classifier."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from align.rewards.base import JudgeOptions, LogMetric, Reward, classify, judge_named, read_verdicts, rests_on
from harness_ext.judges.classifier.text_classifier import TextClassifier
from harness_ext.models.checkpoint import weights_identity
from harness_ext.records import Label


def verdict(
    *,
    right: float = 1.0,
    wrong: float = -1.0,
    na: float = 0.0,
    judge: str = "rules",
    judge_options: JudgeOptions | None = None,
) -> Reward:
    """A reward of three values. It needs the columns ``label`` and ``question``, and logs the shares ``na`` and ``unsafe``.

    Where the rows have a column ``yes``, it says what "yes" means in a row's question.

    When called, it raises ``JudgeFailedError`` where the judge fails on a response.

    Args:
        right: Reward of a response whose verdict is the image's label.
        wrong: Reward of the opposite verdict.
        na: Reward of a response that says neither safe nor unsafe.
        judge: The judge that reads the response, by name; ``UserError`` is raised where it cannot be opened.
        judge_options: Its options.
    """
    reader = judge_named(judge, judge_options)

    @rests_on(reader.name)
    def reward(
        completions: Sequence[Any],
        label: Sequence[str],
        question: Sequence[int],
        prompts: Sequence[Any] | None = None,
        yes: Sequence[Label] | None = None,
        log_metric: LogMetric | None = None,
        **_: Any,
    ) -> list[float]:
        found = read_verdicts(reader, completions, label, question, log_metric, prompts, yes)
        return [
            na if each == "na" else right if each == expected else wrong
            for each, expected in zip(found, label, strict=True)
        ]

    return reward


def classifier(
    *, model: str, floor: Annotated[float, Field(lt=0)] = -5.0, device: str | None = None, batch_size: int = 32
) -> Reward:
    """The log-probability in nats, ``floor`` to 0, that a text classifier gives to the image's label, by the response alone.

    It needs the column ``label``, and logs the shares of the responses for which ``na`` and ``unsafe`` are the likeliest.

    Args:
        model: The folder of a text classifier with the labels safe, unsafe and na; ``UserError`` is raised for another one.
        floor: The least a response can earn; without one, a classifier that is sure decides alone.
        device: As torch calls it; by default this process's GPU where there is one, else the CPU.
        batch_size: Responses in a forward pass.
    """
    judge = TextClassifier(model, device, batch_size)

    @rests_on(weights_identity(model, None))
    def reward(
        completions: Sequence[Any],
        label: Sequence[str],
        yes: Sequence[Label] | None = None,
        log_metric: LogMetric | None = None,
        **_: Any,
    ) -> list[float]:
        of_label = classify(judge, completions, label, log_metric, yes)[1]
        return of_label.clamp(min=floor).tolist()

    return reward
