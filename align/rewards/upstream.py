"""The reward of the paper's published code, to compare others with; its faults are part of it.

Source: Qu, Backes, Zhang, USENIX Security 2025, arXiv 2507.11155, and the authors' code, github.com/TrustAIRLab/SaferVLM.
"""

from collections.abc import Sequence
from math import log
from typing import Annotated, Any, Final

from pydantic import Field

from align.rewards.base import JudgeOptions, LogMetric, Reward, classify, judge_named, read_verdicts, rests_on
from harness_ext.common.errors import UserError
from harness_ext.judges.classifier import VERDICTS
from harness_ext.judges.classifier.text_classifier import TextClassifier
from harness_ext.models.checkpoint import weights_identity
from harness_ext.records import Label

_SCALE: Final = 10.0
_LENGTH_BONUS: Final = 4.0
_CONFIDENCE: Final = 0.98


def upstream(
    *,
    model: str | None = None,
    judge: str | None = None,
    judge_options: JudgeOptions | None = None,
    confidence: Annotated[float, Field(gt=1 / 3, lt=1)] | None = None,
    max_tokens: Annotated[int, Field(ge=1)] = 512,
    device: str | None = None,
    batch_size: int = 32,
) -> Reward:
    """``10 * ((s - min s) / (max s - min s) + 4 * tokens / max_tokens)``, s the log-probability of the image's label.

    The log-probability is minus the cross-entropy of the response's classifier against the label. The minimum and the maximum
    are taken over the responses the function is called with: this process's share of a rollout. The published code multiplies
    its KL penalty by the same ten, so that the coefficient 0.1 there is a ``kl_coef`` of 1 beside this reward.

    Its faults, kept here:

    - A response's reward depends on its neighbours: one that is surely wrong makes all others look right, and a batch of
      right ones still has one that earns nothing.
    - Where all s are equal, as in a batch of one, the published code divides 0 by 0, and trains NaN from then on. Here the
      first term is then 0 for all of them, and the metric ``tied`` is 1, not 0. Where s differ by rounding alone, the
      rounding is stretched to the whole range, here as there.
    - With 512 ``max_tokens``, 128 tokens more pay as much as turning the worst answer of the batch into the best.

    It needs the columns ``label`` and, with a judge, ``question``, and logs the shares ``na`` and ``unsafe``.

    ``UserError`` is raised where both ``model`` and ``judge`` are given, or neither, or where that one cannot be loaded.

    Args:
        model: The folder of a text classifier with the labels safe, unsafe and na.
        judge: Instead of a classifier, a judge of the harness, by name; its verdict is turned into a distribution.
        judge_options: Its options.
        confidence: With a judge, the probability of its verdict, by default 0.98; the two others share the rest equally.
        max_tokens: The tokens of the longest response that can be; the published code's 512.
        device: The classifier's; by default this process's GPU where there is one, else the CPU.
        batch_size: Responses in a forward pass of the classifier.
    """
    if (model is None) == (judge is None):
        raise UserError("expected one of model (a classifier's folder) and judge (its name), found both or neither")
    if judge is None:
        if confidence is not None or judge_options is not None:
            raise UserError("confidence and judge_options are a judge's: a classifier has none, leave them out")
        by_classifier = TextClassifier(str(model), device, batch_size)
        rest = weights_identity(str(model), None)
    else:
        sure = _CONFIDENCE if confidence is None else confidence
        others = (1 - sure) / (len(VERDICTS) - 1)
        by_judge = judge_named(judge, judge_options)
        rest = by_judge.name

    def log_probabilities(
        completions: Sequence[Any],
        label: Sequence[str],
        question: Sequence[int] | None,
        prompts: Sequence[Any] | None,
        yes: Sequence[Label] | None,
        log_metric: LogMetric | None,
    ) -> list[float]:
        if judge is None:
            return classify(by_classifier, completions, label, log_metric, yes)[1].tolist()
        if question is None:
            raise UserError("a judge needs the column question, which the rows do not have")
        verdicts = read_verdicts(by_judge, completions, label, question, log_metric, prompts, yes)
        return [log(sure if each == of else others) for each, of in zip(verdicts, label, strict=True)]

    @rests_on(rest)
    def reward(
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]],
        label: Sequence[str],
        question: Sequence[int] | None = None,
        prompts: Sequence[Any] | None = None,
        yes: Sequence[Label] | None = None,
        log_metric: LogMetric | None = None,
        **_: Any,
    ) -> list[float]:
        scores = log_probabilities(completions, label, question, prompts, yes, log_metric)
        least, most = min(scores), max(scores)
        if log_metric is not None:
            log_metric("tied", float(least == most))
        normalised = [(score - least) / (most - least) if most != least else 0.0 for score in scores]
        return [
            _SCALE * (part + _LENGTH_BONUS * len(ids) / max_tokens)
            for part, ids in zip(normalised, completion_ids, strict=True)
        ]

    return reward
