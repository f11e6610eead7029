"""What a way of training really did, for benchmarks: read from the model and its responses, not from its settings."""

import time
from typing import Any

import torch
from phases import synchronize
from torch import nn
from transformers import PreTrainedModel


class Observed:
    """Watches one layer of a model's language side while it is trained, times what it generates, and gives the reward.

    Args:
        model: Before a LoRA is put on it.

    Attributes:
        generating: Seconds that drawing responses has taken so far.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.lengths: set[int] = set()
        self.arithmetic: list[dict[str, Any]] = []
        self.generating = 0.0
        self._generate, model.generate = model.generate, self._timed
        model.get_decoder().layers[0].mlp.register_forward_pre_hook(self._see)
        self._layer = model.get_decoder().layers[0]

    def reward(self, completion_ids: list[list[int]], **_: Any) -> list[float]:
        """Any reward that costs nothing; the responses' lengths are noted."""
        self.lengths |= {len(ids) for ids in completion_ids}
        return [1.0 if ids[0] % 2 else -1.0 for ids in completion_ids]

    def _timed(self, *args: Any, **kwargs: Any) -> Any:
        synchronize()
        began = time.perf_counter()
        given = self._generate(*args, **kwargs)
        synchronize()
        self.generating += time.perf_counter() - began
        return given

    def _see(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not torch.is_grad_enabled():
            return
        device = inputs[0].device.type
        autocast = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        lora = {str(each.dtype) for name, each in self.model.named_parameters() if "lora_" in name}
        seen = {
            "weights": _name(self.model.lm_head.weight.dtype),
            "LoRA": ", ".join(sorted(each.removeprefix("torch.") for each in lora)),
            "autocast": _name(autocast) if autocast else None,
            "checkpointing": bool(self._layer.gradient_checkpointing and self._layer.training),
        }
        if seen not in self.arithmetic:
            self.arithmetic.append(seen)

    def figures(self, tokens: int) -> dict[str, Any]:
        """The arithmetic of the passes with a gradient, the responses' tokens, and how far each adapter has moved.

        Raises:
            RuntimeError: Responses have other lengths than ``tokens``, passes differ, or an adapter was not trained.
        """
        moved: dict[str, float] = {}
        for name, each in self.model.named_parameters():
            if "lora_B" in name:
                adapter = name.split("lora_B.")[1].split(".")[0]
                moved[adapter] = max(moved.get(adapter, 0.0), float(each.detach().abs().max()))
        if self.lengths != {tokens} or len(self.arithmetic) != 1 or not moved or not all(moved.values()):
            raise RuntimeError(
                f"expected responses of {tokens} tokens, one arithmetic and trained adapters, found {self.lengths}, "
                f"{self.arithmetic} and, of each adapter, a largest weight of {moved}"
            )
        return {"tokens a response": tokens, "arithmetic": self.arithmetic[0], "largest weight of LoRA's B": moved}


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
