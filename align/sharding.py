"""A model spread over processes, as ``accelerate launch --config_file`` starts it: FSDP2, and DeepSpeed's ZeRO-2 and ZeRO-3.

The frozen base is spread with its adapter; what this project adds to a trainer (critic, judges, rewards) is whole in every
process. ``tests/align/test_sharding.py`` holds the installed accelerate, transformers and TRL to what is used here.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Final

import torch
from accelerate import FullyShardedDataParallelPlugin
from torch import Tensor, distributed, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_map_only
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from harness_ext.common.errors import UserError

FSDP2: Final = "fsdp2"
ZERO2: Final = "zero2"
ZERO3: Final = "zero3"
# Those that spread the weights too.
SPREAD: Final = (FSDP2, ZERO3)
_READY: Final = "launch with one of align/accelerate: fsdp2.yaml, zero2.yaml, zero3.yaml"


def sharding(args: TrainingArguments) -> str | None:
    """How the launcher that started this process spreads the model: one of `FSDP2`, `ZERO2`, `ZERO3`; ``None`` for not at all.

    Raises ``UserError`` for a way that is not served here, or that does not go together with the settings.
    """
    if args.fsdp or args.deepspeed:
        raise UserError(f"fsdp, deepspeed: the launcher's, and no settings of a run: take them out, and {_READY}")
    plugin = args.deepspeed_plugin
    if plugin is None and not _said("ACCELERATE_USE_FSDP"):
        return None
    if plugin is not None and plugin.zero_stage not in (2, 3):
        raise UserError(f"zero_stage: expected 2 or 3, found {plugin.zero_stage}: {_READY}")
    if plugin is None:
        _check_fsdp()
    if args.fp16:
        raise UserError("fp16: expected bf16 or float32 where a model is spread over processes: take it out")
    precision = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if precision != ("bf16" if args.bf16 else "no"):
        raise UserError(
            f"bf16 is {str(args.bf16).lower()}, but accelerate's mixed_precision is {precision!r}: add --bf16 "
            f"{'false' if args.bf16 else 'true'}, or --mixed_precision {'bf16' if args.bf16 else 'no'} to accelerate launch"
        )
    return FSDP2 if plugin is None else ZERO3 if plugin.zero_stage == 3 else ZERO2


def _check_fsdp() -> None:
    """Raise ``UserError`` for a variable of FSDP's that another way stands for."""
    expected = {
        "FSDP_VERSION": ("2", "fsdp_version"),
        # A checkpoint holds the adapter, which is small; every process's part of it would be a file of its own.
        "FSDP_STATE_DICT_TYPE": ("FULL_STATE_DICT", "fsdp_state_dict_type"),
        "FSDP_ACTIVATION_CHECKPOINTING": ("false", "fsdp_activation_checkpointing (align has gradient_checkpointing)"),
    }
    for variable, (value, name) in expected.items():
        found = os.environ.get(variable, value)
        if found.lower() != value.lower():
            raise UserError(f"{name}: expected {value}, found {found}: {_READY}")


def _said(variable: str) -> bool:
    return os.environ.get(variable, "false").lower() == "true"


def local(tensor: Tensor) -> Tensor:
    """This process's part of a weight or gradient; all of it where it is not spread."""
    if isinstance(tensor, DTensor):
        return tensor.to_local()
    return getattr(tensor, "ds_tensor", tensor)  # ZeRO-3 keeps a process's part beside an empty weight


def gathered(weights: list[Any], written: bool = False) -> AbstractContextManager[Any]:
    """Within it, ``weights`` that ZeRO-3 spreads are whole; what the first process wrote is kept where ``written``."""
    if not any(hasattr(each, "ds_tensor") for each in weights):
        return nullcontext()
    import deepspeed

    return deepspeed.zero.GatheredParameters(weights, modifier_rank=0 if written else None)


def adapter_of(model: nn.Module) -> dict[str, Tensor]:
    """The trained weights of ``model`` by name, whole and on the CPU; asked for in every process at once."""
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    with gathered([*trained.values()]):
        return {name: _full(weight.detach()).to("cpu", copy=True) for name, weight in trained.items()}


def _full(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def set_adapter(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give a ``model`` that FSDP2 has spread the ``weights`` of a PEFT file, each whole."""
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            with torch.no_grad():
                weight.copy_(_spread(weights[name.replace(".default.", ".")], weight))


def _spread(whole: Tensor, weight: DTensor) -> DTensor:
    """This process's part of ``whole``, which every process has, as that of ``weight``."""
    return distribute_tensor(whole, weight.device_mesh, weight.placements, src_data_rank=None)


def whole_state(optimizer: Optimizer) -> dict[str, Any]:
    """The state of an optimizer of a model that FSDP2 has spread, as one of a whole model; asked for in every process at once."""
    return tree_map_only(Tensor, lambda each: _full(each).cpu(), optimizer.state_dict())


def spread_state(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `whole_state`, for ``optimizer``; a hook of its loading."""
    weights = dict(enumerate(weight for group in optimizer.param_groups for weight in group["params"]))
    spread = {
        number: {
            key: _spread(value, weights[number]) if getattr(value, "shape", None) == weights[number].shape else value
            for key, value in of_weight.items()
        }
        for number, of_weight in state["state"].items()
    }
    return {**state, "state": spread}


def set_up_fsdp2(model: nn.Module, plugin: FullyShardedDataParallelPlugin) -> None:
    """Make ``plugin`` gather ``model`` by layers, unless its configuration names others, and keep log-probabilities in float32.

    transformers lists classes of layers that some models of a family do not have, which accelerate takes for a mistake. It also
    has FSDP2 round what a model gives, log-probabilities too, and its gradients to bfloat16; and it hands on weights alone
    where the first process read them, not the buffers of a checkpoint that some families have.
    """
    if plugin.transformer_cls_names_to_wrap is None:
        there = {type(each).__name__ for each in model.modules()}
        plugin.transformer_cls_names_to_wrap = sorted(there & set(model._no_split_modules))
    if plugin.mixed_precision_policy is not None:
        plugin.mixed_precision_policy = replace(
            plugin.mixed_precision_policy, reduce_dtype=torch.float32, output_dtype=None
        )
    for module in model.modules() if plugin.cpu_ram_efficient_loading else ():
        for name, buffer in list(module._buffers.items()):
            if buffer is not None and name not in module._non_persistent_buffers_set:
                value = torch.empty_like(buffer, device="cpu")
                distributed.broadcast(value if buffer.is_meta else value.copy_(buffer), src=0)
                module.register_buffer(name, value, persistent=False)  # the base's, which no checkpoint holds


class _Whole(Tensor):
    """A tensor that is whole in every process, where TRL expects a spread one; what is computed of it is a plain tensor."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    def full_tensor(self) -> Tensor:
        return self.as_subclass(Tensor)

    @property
    def ds_status(self) -> Any:
        from deepspeed.runtime.zero.partition_parameters import ZeroParamStatus

        return ZeroParamStatus.AVAILABLE


class CompleteSpread(TrainerCallback):
    """Completes a model that FSDP2 or ZeRO-3 has spread, when training begins.

    TRL gathers the output layer's bias with its weight, and ours (:mod:`align.rollouts`) is not spread. Processes end their
    responses at different lengths: under FSDP2 too, transformers then lets all of them run to the longest, if it knows.
    """

    def __init__(self, engine: str) -> None:
        self._engine = engine

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **_: Any
    ) -> None:
        base = model.get_base_model()
        buffers = base.get_output_embeddings()._buffers
        if "bias" in buffers:
            buffers["bias"] = buffers["bias"].as_subclass(_Whole)
        if self._engine == FSDP2:
            base._is_fsdp_managed_module = True
