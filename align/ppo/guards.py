"""The checks that stop a run of PPO, on every process at once, and name the samples they stopped on."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from align.rewards.base import read_verdicts, responses
from align.stopped import TrainingStopped, sample


class Guards:
    """Checks that all processes take together: each of them raises, or none does.

    Args:
        accelerator: The trainer's.
        step: Returns the next optimiser step, for the message.
    """

    def __init__(self, accelerator: Accelerator, step: Callable[[], int]) -> None:
        self._accelerator = accelerator
        self._step = step
        self._inputs: list[dict[str, Any]] = []
        self._responses: list[str] = []

    def begin(self, inputs: list[dict[str, Any]], completions: list[Any]) -> None:
        """Note this process's samples of a rollout: its rows and their responses."""
        self._inputs = inputs
        self._responses = responses(completions)

    def scores(self, scores: Tensor) -> None:
        """Every response's score, shape (B,), is a finite number."""
        self._stop_if(~scores.isfinite(), "a response's reward is not a finite number")

    def answers(self) -> None:
        """At least one response of the rollout, of all processes, has a verdict. Rows need a ``question``."""
        verdicts = read_verdicts(self._responses, [each["question"] for each in self._inputs])
        unread = torch.tensor([verdict == "na" for verdict in verdicts], device=self._accelerator.device)
        if bool(self._accelerator.gather(unread).all()):
            self._stop_if(
                unread,
                f"none of the rollout's {len(verdicts) * self._accelerator.num_processes} responses could be read as a "
                "verdict: the model no longer answers the question (stop_on_na: false to go on all the same)",
            )

    def log_probabilities(self, values: Sequence[Tensor], mask: Tensor) -> None:
        """Log-probabilities, each of shape (B, T), are finite at every real token."""
        wrong = torch.stack([~each.isfinite() & mask.bool() for each in values]).any(0).any(1)
        self._stop_if(wrong, "a log-probability is not a finite number: the weights or the precision are at fault")

    def kl(self, kl: float, most: float) -> None:
        """The KL to the reference, in nats a response, is at most ``most``."""
        if not kl <= most:
            raise TrainingStopped(
                f"the KL to the reference is {kl:.3g} nats a response, and max_kl is {most:g}: lower the learning rate, or "
                "raise kl_coef",
                self._step(),
                self._all(range(len(self._inputs))),
            )

    def loss(self, loss: Tensor, samples: Tensor) -> None:
        """The loss, shape (), of the rollout's samples of these numbers, shape (b,), is finite on every process."""
        wrong = torch.zeros(len(self._inputs), dtype=torch.bool, device=samples.device)
        wrong[samples] = ~loss.detach().isfinite()
        self._stop_if(wrong, "the loss is not a finite number: lower the learning rate, or use another precision")

    def _stop_if(self, wrong: Tensor, reason: str) -> None:
        """Stop where ``wrong``, shape (B,), about this process's samples, is true anywhere."""
        count = self._accelerator.reduce(wrong.sum(), reduction="sum")
        if int(count):
            raise TrainingStopped(reason, self._step(), self._all(wrong.nonzero()[:, 0].tolist()))

    def _all(self, at: Sequence[int]) -> list[dict[str, Any]]:
        return gather_object([sample(self._inputs[i], self._responses[i]) for i in at])
