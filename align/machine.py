"""Where a run computes, and in which precision, where neither its recipe nor the command line says it."""

import argparse
import sys
from typing import Final

import torch
from transformers.utils import is_torch_bf16_gpu_available

from harness_ext.errors import UserError

# Unset until `fill_in`: what they are rests on each other and on the machine.
UNSET: Final = {"use_cpu": None, "bf16": None, "dataloader_pin_memory": None}


def accelerator() -> torch.device | None:
    """The kind of accelerator that this machine has, if it has one."""
    return torch.accelerator.current_accelerator(check_available=True)


def fill_in(given: argparse.Namespace, method: str) -> None:
    """Give each of `UNSET` that is still ``None`` in ``given`` the value that suits this machine.

    Raises:
        UserError: The run was told to compute where it cannot.
    """
    device = accelerator()
    lacks_float64 = method == "ppo" and device is not None and device.type == "mps"
    if given.use_cpu is None:
        if lacks_float64:
            print("computing on the CPU: PPO takes its means in float64, which MPS does not have", file=sys.stderr)
        # Without it, processes without a GPU would each train alone.
        given.use_cpu = device is None or lacks_float64
    elif lacks_float64 and not given.use_cpu:
        raise UserError(
            "use_cpu: false, but PPO takes its means in float64, which MPS does not have: take it out, or set it to true"
        )
    on_gpu = device is not None and not given.use_cpu
    if given.bf16 is None:  # TRL's default is bfloat16 anywhere
        given.bf16 = on_gpu and is_torch_bf16_gpu_available() and not given.fp16
    if given.dataloader_pin_memory is None:
        given.dataloader_pin_memory = on_gpu
