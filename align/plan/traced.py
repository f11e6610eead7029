"""A model of shapes alone, and the most memory that tensors take while something is done with it.

The tensors are torch's fake ones: every operation works out shapes and types and computes nothing. So the code that a run
executes, forward, backward and recomputing included, says itself what it keeps, for any family of models.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from weakref import ReferenceType, ref

import torch
from peft import PeftModel, get_peft_model
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoModelForMultimodalLM, PretrainedConfig
from trl.trainer.utils import add_fused_lm_head

from align.models import lora_config, switch_off_dropout
from align.rollouts import draw_what_is_scored
from align.settings import ModelConfig

# What TRL's trainers take from the fused head, beside the log-probabilities.
_OUTPUTS: Final = {"sft": ("log_probs", "entropy", "is_top1"), "dpo": ("log_probs", "mean_logits", "is_top1")}
_OF_ROLLOUTS: Final = ("log_probs", "entropy")
_FEW: Final = 4


class PeakMemory(TorchDispatchMode):
    """Follows the bytes of all tensors that are made within it, fake or real.

    Args:
        known: Tensors from before, which do not count, whatever is done to them.

    Attributes:
        now: Bytes that are alive.
        peak: The most that were.
    """

    def __init__(self, known: list[Tensor]) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known = {each.untyped_storage()._cdata for each in known}
        self._alive: dict[int, ReferenceType[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for each in tree_leaves(made):
            if isinstance(each, Tensor):
                self._note(each.untyped_storage())
        return made

    def _note(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        # A size that depends on values is that of a check of few of them.
        if key in self._known or key in self._alive or not isinstance(size, int):
            return

        def gone(_: Any) -> None:
            self.now -= size
            del self._alive[key]

        self._alive[key] = ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)


class _DropoutOfGPUs(nn.Dropout):
    """Dropout that keeps a mask of a byte a number, as on a GPU; on a CPU it keeps numbers."""

    def forward(self, input: Tensor) -> Tensor:
        """See :class:`torch.nn.Dropout`."""
        if not self.training or not self.p:
            return input
        return torch.native_dropout(input, self.p, True)[0]


class FakeModel:
    """A model with its LoRA on fake tensors, as ``method`` has it.

    Args:
        config: Its configuration.
        given: The LoRA, and the type of the frozen weights.
        method: Of training.
        checkpointing: Whether it recomputes activations.
        adapter: The type of the LoRA's weights, if it is not PEFT's choice: float32 beside a base of 16 bits.
        on_gpu: Whether its dropout is that of GPUs.

    Attributes:
        model: The model.
        mode: The mode in which it is used.
    """

    def __init__(
        self,
        config: PretrainedConfig,
        given: ModelConfig,
        method: str,
        checkpointing: bool,
        adapter: torch.dtype | None = None,
        on_gpu: bool = False,
    ) -> None:
        options = {"attn_implementation": given.attn_implementation} if given.attn_implementation else {}
        with torch.device("meta"):
            base = AutoModelForMultimodalLM.from_config(config, dtype=getattr(torch, given.dtype), **options)
            if method not in _OUTPUTS:
                draw_what_is_scored(base)
            add_fused_lm_head(base, outputs=_OUTPUTS.get(method, _OF_ROLLOUTS))
            base.requires_grad_(False)
            self.model: PeftModel = get_peft_model(base, lora_config(base, given))
        for each in self.trained():
            each.data = each.data.to(adapter or each.dtype)
        self.mode = FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv())
        with self.mode:
            _fake(self.model)
        if method != "sft":
            switch_off_dropout(self.model)
        for module in self.model.modules():
            if on_gpu and type(module) is nn.Dropout:
                module.__class__ = _DropoutOfGPUs
        self.model.train()
        if checkpointing:
            self.model.enable_input_require_grads()
            self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})

    def trained(self) -> list[Tensor]:
        """The LoRA's weights."""
        return [each for each in self.model.parameters() if each.requires_grad]

    @contextmanager
    def shortened(self) -> Iterator[None]:
        """Within it, the language model has few layers: without gradients, nothing of one stays when the next begins."""
        decoder = self.model.get_base_model().get_decoder()
        decoder = decoder if "layers" in decoder._modules else decoder.model
        layers = decoder.layers
        decoder.layers = layers[:_FEW]
        yield
        decoder.layers = layers

    def tensors(self) -> list[Tensor]:
        """All weights and buffers, each once."""
        return [*{id(each): each for each in (*self.model.parameters(), *self.model.buffers())}.values()]


def _fake(model: nn.Module) -> None:
    """Put fake tensors, of the CPU by their own account, in the places of those without data; shared ones stay shared."""
    made: dict[int, Any] = {}
    for module in model.modules():
        for name, each in module._parameters.items():
            if each is not None:
                fake = nn.Parameter(torch.empty(each.shape, dtype=each.dtype), requires_grad=each.requires_grad)
                module._parameters[name] = made.setdefault(id(each), fake)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = made.setdefault(id(buffer), torch.empty(buffer.shape, dtype=buffer.dtype))
