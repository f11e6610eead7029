"""The probability that a text classifier gives to the right verdict."""

from collections.abc import Sequence
from typing import Any

from align.rewards.base import LogMetric, Reward, classify, log_shares, require_labels, rests_on
from harness_ext.common.errors import UserError
from harness_ext.judges.classifier.text_classifier import TextClassifier
from harness_ext.models.identity import weights_identity


def classifier(*, model: str, floor: float = -5.0, device: str | None = None, batch_size: int = 32) -> Reward:
    """The log-probability in nats, ``floor`` to 0, of the image's label, given the response alone.

    It needs the column ``label``, and logs the shares of the responses for which ``na`` and ``unsafe`` are the likeliest.

    Args:
        model: The folder of a text classifier with the labels safe, unsafe and na.
        floor: The least a response can earn; without one, a classifier that is sure decides alone.
        device: As torch calls it; by default this process's GPU where there is one, else the CPU.
        batch_size: Responses in a forward pass.

    Raises:
        UserError: The classifier cannot be loaded, or ``floor`` is not negative.
    """
    if floor >= 0:
        raise UserError(
            f"floor: expected less than 0, which is the log-probability of what is certain, found {floor:g}"
        )
    judge = TextClassifier(model, device, batch_size)

    @rests_on(weights_identity(model, None))
    def reward(
        completions: Sequence[Any], label: Sequence[str], log_metric: LogMetric | None = None, **_: Any
    ) -> list[float]:
        require_labels(label)
        verdicts, of_label = classify(judge, completions, label)
        log_shares(verdicts, log_metric)
        return of_label.clamp(min=floor).tolist()

    return reward
