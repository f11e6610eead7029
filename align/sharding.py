"""A model spread over processes, as ``accelerate launch --config_file`` starts it: FSDP2, and DeepSpeed's ZeRO-2 and ZeRO-3.

The frozen base is spread with its adapter; what this project adds to a trainer (critic, judges, rewards) is whole in every
process. ``tests/align/test_sharded_runs.py`` holds the installed accelerate, transformers and TRL to what is used here.
"""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Final

import torch
from accelerate import FullyShardedDataParallelPlugin
from torch import Tensor, nn
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
# By variable of the launcher's: the value that is served here, and its name in the launcher's file.
_FSDP: Final = {
    "FSDP_VERSION": ("2", "fsdp_version"),
    # A checkpoint holds the adapter, which is small; every process's part of it would be a file of its own.
    "FSDP_STATE_DICT_TYPE": ("FULL_STATE_DICT", "fsdp_state_dict_type"),
    "FSDP_ACTIVATION_CHECKPOINTING": ("false", "fsdp_activation_checkpointing (align has gradient_checkpointing)"),
}


def sharding(args: TrainingArguments) -> str | None:
    """The engine that spreads the model, as the launcher chose it: `FSDP2`, `ZERO2`, `ZERO3`; ``None`` for no engine.

    Raises ``UserError`` for one that is not served here, or that does not go together with the settings.
    """
    if args.fsdp or args.deepspeed:
        raise UserError(f"fsdp, deepspeed: the launcher's, and no settings of a run: take them out, and {_READY}")
    plugin = args.deepspeed_plugin
    if plugin is None and os.environ.get("ACCELERATE_USE_FSDP", "false").lower() != "true":
        return None
    if plugin is not None and plugin.zero_stage not in (2, 3):
        raise UserError(f"zero_stage: expected 2 or 3, found {plugin.zero_stage}: {_READY}")
    for variable, (value, name) in _FSDP.items() if plugin is None else ():
        found = os.environ.get(variable, value)
        if found.lower() != value.lower():
            raise UserError(f"{name}: expected {value}, found {found}: {_READY}")
    if args.use_cpu:
        raise UserError(
            "accelerate spreads no model on a CPU: launch without fsdp_config and deepspeed_config, or on GPUs"
        )
    if args.fp16:
        raise UserError("fp16: expected bf16 or float32 where a model is spread over processes: take it out")
    precision = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if precision != ("bf16" if args.bf16 else "no"):
        raise UserError(
            f"bf16 is {str(args.bf16).lower()}, but accelerate's mixed_precision is {precision!r}: add --bf16 "
            f"{str(not args.bf16).lower()}, or --mixed_precision {'bf16' if args.bf16 else 'no'} to accelerate launch"
        )
    return FSDP2 if plugin is None else ZERO3 if plugin.zero_stage == 3 else ZERO2


# --- weights of which a process has a part ------------------------------------------------------------------------------


def local(tensor: Tensor) -> Tensor:
    """The part of a weight or gradient that this process has; all of it where it is not spread."""
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
    """The trained weights of ``model`` by name, whole and on the CPU; every process asks for them at once."""
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    with gathered([*trained.values()]):
        return {name: _whole(weight.detach()).to("cpu", copy=True) for name, weight in trained.items()}


def set_adapter(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give a ``model`` that FSDP2 has spread the ``weights`` of a PEFT file, each whole."""
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            with torch.no_grad():
                weight.copy_(_part(weights[name.replace(".default.", ".")], weight))


def whole_state(optimizer: Optimizer) -> dict[str, Any]:
    """The state of an optimizer under FSDP2 as that of one of a whole model; every process asks for it at once."""
    return tree_map_only(Tensor, lambda each: _whole(each).cpu(), optimizer.state_dict())


def spread_state(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `whole_state`, for ``optimizer``; a hook of its loading."""
    weights = dict(enumerate(weight for group in optimizer.param_groups for weight in group["params"]))
    spread = {
        number: {
            key: _part(value, weights[number]) if getattr(value, "shape", None) == weights[number].shape else value
            for key, value in of_weight.items()
        }
        for number, of_weight in state["state"].items()
    }
    return {**state, "state": spread}


def _whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _part(whole: Tensor, weight: Any) -> DTensor:
    """Of ``whole``, which every process has, the part that this process has of ``weight``."""
    return distribute_tensor(whole, weight.device_mesh, weight.placements, src_data_rank=None)


# --- what the engines leave to do ---------------------------------------------------------------------------------------


def set_up_fsdp2(model: Any, plugin: FullyShardedDataParallelPlugin) -> None:
    """Complete ``plugin`` for ``model``, a PEFT model that is not yet spread.

    transformers lists classes of layers that some models of a family do not have; accelerate takes them for a mistake. It
    has FSDP2 round to bfloat16 what a model gives, log-probabilities too, and the gradients that it adds up. And it cannot
    hand on the buffers that the checkpoints of some families have.
    """
    if plugin.transformer_cls_names_to_wrap is None:
        there = {type(each).__name__ for each in model.modules()}
        plugin.transformer_cls_names_to_wrap = sorted(there & set(model._no_split_modules))
    if (policy := plugin.mixed_precision_policy) is not None:
        plugin.mixed_precision_policy = replace(policy, reduce_dtype=torch.float32, output_dtype=None)
    for module in model.modules():
        for name, buffer in [*module.named_buffers(recurse=False)]:
            module.register_buffer(name, buffer, persistent=False)  # every process read it


class _NotSpread(Tensor):
    """A tensor that is whole in every process, where TRL expects a spread one; what is computed of it is a plain tensor."""

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def full_tensor(self) -> Tensor:
        """As FSDP2's parameters have it."""
        return self.as_subclass(Tensor)

    @property
    def ds_status(self) -> Any:
        """As ZeRO-3's parameters have it."""
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
        """Complete ``model``, a PEFT model."""
        base = model.get_base_model()
        buffers = base.get_output_embeddings()._buffers
        if "bias" in buffers:
            buffers["bias"] = buffers["bias"].as_subclass(_NotSpread)
        if self._engine == FSDP2:
            base._is_fsdp_managed_module = True
