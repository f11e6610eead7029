"""The verdict of a judge, right or wrong for the image's label."""

from collections.abc import Sequence
from typing import Any

from align.rewards.base import LogMetric, Reward, judge_named, log_shares, read_verdicts, require_labels, rests_on


def verdict(
    *,
    right: float = 1.0,
    wrong: float = -1.0,
    na: float = 0.0,
    judge: str = "rules",
    judge_options: dict[str, Any] | None = None,
) -> Reward:
    """A reward of three values. It needs the columns ``label`` and ``question``, and logs the shares ``na`` and ``unsafe``.

    When called, it raises ``JudgeFailedError`` where the judge fails on a response.

    Args:
        right: Reward of a response whose verdict is the image's label.
        wrong: Reward of the opposite verdict.
        na: Reward of a response that says neither safe nor unsafe.
        judge: The name of the judge that reads the response, any of the harness.
        judge_options: Its options.

    Raises:
        UserError: There is no such judge, or it cannot be opened with these options.
    """
    reader = judge_named(judge, judge_options)

    @rests_on(reader.name)
    def reward(
        completions: Sequence[Any],
        label: Sequence[str],
        question: Sequence[int],
        log_metric: LogMetric | None = None,
        **_: Any,
    ) -> list[float]:
        require_labels(label)
        found = read_verdicts(completions, question, reader)
        log_shares(found, log_metric)
        return [
            na if each == "na" else right if each == expected else wrong
            for each, expected in zip(found, label, strict=True)
        ]

    return reward
