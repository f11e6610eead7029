"""The passes over a rollout; each deals its responses into updates anew."""

from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from align.ppo.config import PPOConfig
from align.ppo.surface import apart, together
from harness_ext.models.generation import request_seed


def deal(responses: int, updates: int, seed: int, processes: int = 1, process: int = 0) -> Tensor:
    """The responses of each update of a pass, by their places on this process; shape (updates, responses / updates).

    Each update gets one at random of every ``updates`` consecutive responses. So the updates of the same number on several
    processes make up the one that a single process would have.

    Args:
        responses: Responses of this process, a multiple of ``updates``; every process has as many.
        updates: Updates in a pass.
        seed: Of this pass, the same on all processes.
        processes: How many processes there are.
        process: The number of this one; it has the responses that follow those of the processes before it.
    """
    generator = torch.Generator().manual_seed(seed)
    runs = torch.stack([torch.randperm(updates, generator=generator) for _ in range(processes * responses // updates)])
    first = torch.arange(0, responses, updates)[:, None]
    return (runs.view(processes, -1, updates)[process] + first).T


class Passes:
    """The passes over one rollout of this process.

    Args:
        rollout: Tensors and lists of B responses; gets the key ``sample``, each response's place.
        number: The rollout's number, from 0 on; with ``args.seed`` it decides the order.
        args: The settings.
        accelerator: Knows the other processes.

    Attributes:
        over: Whether the remaining updates are left out.
    """

    def __init__(self, rollout: dict[str, Any], number: int, args: PPOConfig, accelerator: Accelerator) -> None:
        self._count = len(rollout["completion_ids"])
        self._samples = apart({**rollout, "sample": torch.arange(self._count, device=accelerator.device)})
        self._number, self._args, self._accelerator = number, args, accelerator
        self._order = self._tokens = torch.empty(0)
        self._update: list[Tensor] = []
        self.over = False

    def micro_batch(self, step: int) -> dict[str, Any]:
        """Micro-batch ``step`` of the rollout, from 0 on in its order.

        Has the further keys ``update_tokens`` and ``update_responses``: how many real tokens and responses its update has on
        all processes; and ``judged_tokens``, those of these tokens that are no anchor's, 1 at least.
        """
        number, at = divmod(step, self._args.steps_per_generation)
        if at == 0:
            self._begin(number)
        batch = together(self._samples, self._order[at].tolist())
        accumulated = self._args.gradient_accumulation_steps
        batch["update_tokens"], judged = self._tokens[at // accumulated].unbind()
        batch["judged_tokens"] = judged.clamp_min(1)
        batch["update_responses"] = self._order.shape[1] * accumulated * self._accelerator.num_processes
        return batch

    def _begin(self, number: int) -> None:
        """Deal the responses for pass ``number``, and count the tokens of its updates."""
        parts, accumulated = self._args.steps_per_generation, self._args.gradient_accumulation_steps
        seed = request_seed(self._args.seed, "pass", self._number, number)
        processes, process = self._accelerator.num_processes, self._accelerator.process_index
        order = deal(self._count, parts // accumulated, seed, processes, process)
        mask, judged = self._samples["completion_mask"], self._samples["judged"]
        lengths = torch.stack([mask.sum(1), (mask * judged[:, None]).sum(1)], dim=1)
        self._tokens = self._accelerator.reduce(lengths[order.to(lengths.device)].sum(1), reduction="sum")
        self._order = order.reshape(parts, -1)

    def add(self, sums: Tensor) -> list[float] | None:
        """Note a micro-batch's ``sums``, shape (N,); after the last one of an update, their sum over all processes."""
        self._update.append(sums)
        if len(self._update) < self._args.gradient_accumulation_steps:
            return None
        total = torch.stack(self._update).sum(0)
        self._update = []
        return list(self._accelerator.reduce(total, reduction="sum").tolist())
