"""The checks of every setting by its annotation, and of the trainer's arguments: those without effect here are refused."""

import argparse
import math
import sys
from dataclasses import field, fields
from typing import Any, Final

import torch
from pydantic import ConfigDict, PositiveInt, TypeAdapter, ValidationError
from transformers import TrainingArguments
from transformers.integrations.integration_utils import (
    get_available_reporting_integrations,
    get_reporting_integration_callbacks,
)
from transformers.utils import is_torch_bf16_gpu_available

from align import vllm
from align.sharding import sharding
from harness_ext.common.errors import UserError, one_line, shown
from harness_ext.common.output import say
from harness_ext.common.reading import Unreadable
from harness_ext.common.reading_yaml import parse_yaml, yaml_value

# Unset until `fill_in`: their values depend on each other and on the machine.
UNSET: Final = {"use_cpu": None, "bf16": None, "dataloader_pin_memory": None}
# The one value that an argument has here, and the reason.
FIXED: Final[dict[str, tuple[Any, str]]] = {
    "num_train_epochs": (1.0, "say `passes` for how often each row is used"),
    "shuffle_dataset": (False, "each pass over the rows has an order of its own"),
    "train_sampling_strategy": ("sequential", "each pass over the rows has an order of its own"),
    "remove_unused_columns": (False, "rewards and messages need the rows' columns"),
    "save_strategy": ("steps", "a run resumes from its checkpoints, and ends with one; say save_steps"),
    "save_only_model": (False, "a run could not resume from such a checkpoint"),
    "enable_jit_checkpoint": (False, "its checkpoint may lie within a rollout; a killed run resumes from its last one"),
    "ignore_data_skip": (False, "a resumed run would meet its first rows again"),
    "auto_find_batch_size": (False, "a resumed run would not know its batches"),
    "resume_from_checkpoint": (None, "the same command resumes by itself"),
    "eval_strategy": ("no", "evaluate through lmms_eval"),
    "do_eval": (False, "evaluate through lmms_eval"),
    "push_to_hub": (False, "upload OUTPUT_DIR/final when you have looked at it: hf upload"),
    "hub_token": (None, "it would be kept in the run's files: log in with `hf auth login`, or set HF_TOKEN"),
    "log_completions": (False, "it would print the responses"),
    "reward_weights": (None, "the weights stand beside the rewards"),
    "model_init_kwargs": (None, "say model, model_revision, dtype and attn_implementation"),
    "trust_remote_code": (False, "code of a model's repository is not run here"),
    "chat_template_kwargs": (None, "prompts are those that the model is evaluated with"),
    "chat_template_path": (None, "prompts are those that the model is evaluated with"),
    "precompute_ref_log_probs": (False, "rows become tokens as they are met"),
    "packing": (False, "rows have images"),
    "truncation_mode": ("keep_start", "no row is cut off"),
}
# Available or not, transformers does not always list them.
_UNLISTED: Final = {"azure_ml", "flyte"}
# Of settings that are not of this project, beside their types.
BOUNDS: Final = dict.fromkeys(
    (
        "per_device_train_batch_size",
        "gradient_accumulation_steps",
        "generation_batch_size",
        "steps_per_generation",
        "num_iterations",
        "max_completion_length",
    ),
    PositiveInt,
)


def option(default: Any, text: str) -> Any:
    """A setting of a dataclass, with its help."""
    return field(default=default, metadata={"help": text})


def require(name: str, value: Any, kind: Any, where: str = "") -> None:
    """Raise ``UserError`` unless ``value``, of the setting ``name``, has the type ``kind`` and lies within its bounds.

    The message begins with ``where``.
    """
    # A number is no boolean and a text is neither, but a list may stand for a tuple, and hold names of an enumeration.
    strict = not isinstance(value, list | dict)
    try:
        TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(value, strict=strict)
    except ValidationError as error:
        raise UserError(f"{where}{name}: {error.errors()[0]['msg']}, found {shown(value)}") from error


def from_text(name: str, value: Any) -> Any:
    """``value`` of the setting ``name``, read as YAML where it is text. Raises ``UserError`` where it is no YAML."""
    if not isinstance(value, str):
        return value
    try:
        return yaml_value(parse_yaml(value, name), name)
    except Unreadable as error:
        raise UserError(f"{name}: expected YAML, found {shown(value)} ({error.problem})") from error


def accelerator() -> torch.device | None:
    """The kind of accelerator that this machine has, if any."""
    return torch.accelerator.current_accelerator(check_available=True)


def fill_in(given: argparse.Namespace, method: str) -> None:
    """Give each of `UNSET` that is ``None`` in ``given`` the value that suits this machine.

    Raises ``UserError`` where the run was told to compute where it cannot.
    """
    device = accelerator()
    lacks_float64 = method == "ppo" and device is not None and device.type == "mps"
    if given.use_cpu is None:
        if lacks_float64:
            say("computing on the CPU: PPO takes its means in float64, which MPS does not have", file=sys.stderr)
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


def check_arguments(arguments: TrainingArguments, has_rollouts: bool) -> None:
    """Raise ``UserError``, with the reason, for a value that an argument cannot have here.

    A run of a trainer that draws responses (``has_rollouts``) can resume only where a rollout begins.
    """
    given = {each.name: getattr(arguments, each.name) for each in fields(arguments) if each.init}
    for name, (value, why) in FIXED.items():
        if name in given and given[name] != value:
            found = "one" if name == "hub_token" else _said(given[name])
            raise UserError(f"{name}: always {_said(value)} here, found {found}: {why}")
    if arguments.n_gpu > 1:
        raise UserError(
            f"a process trains on one GPU, and this one sees {arguments.n_gpu}: let it see one (CUDA_VISIBLE_DEVICES=0), or "
            f"start a process for each (accelerate launch --num_processes {arguments.n_gpu} -m align.commands ...)"
        )
    vllm.check(arguments)
    sharding(arguments)  # raises where the launcher's engine and the arguments do not go together
    steps = given["save_steps"]
    if steps < 1 or steps != int(steps):
        raise UserError(f"save_steps: expected a whole number of optimiser steps, found {steps:g}")
    if has_rollouts:
        passes = given["num_iterations"] * given["steps_per_generation"]
        accumulated = given["gradient_accumulation_steps"]
        every = math.lcm(passes, accumulated) // accumulated
        if steps % every:
            raise UserError(
                f"save_steps: expected a multiple of {every}, for a run resumes at the beginning of a rollout, each of "
                f"{passes / accumulated:g} optimiser steps; found {steps:g}"
            )


def check_last_batch(arguments: TrainingArguments, rows: int) -> None:
    """Raise ``UserError`` where processes would be given rows twice, so that they do not take the steps of one.

    accelerate fills the last batches of an epoch with its first rows, so that every process has as many. Methods with
    rollouts need no check: TRL leaves out the rows that do not fill one. ``rows`` is their number in all passes.
    """
    together = arguments.per_device_train_batch_size * arguments.world_size
    is_cut = 0 < arguments.max_steps * arguments.gradient_accumulation_steps * together <= rows
    if arguments.world_size == 1 or arguments.dataloader_drop_last or is_cut or rows % together == 0:
        return
    raise UserError(
        f"{rows} rows (all passes) do not fill batches of {arguments.per_device_train_batch_size} on "
        f"{arguments.world_size} processes: the last ones would be filled with the first rows again. Add "
        f"--dataloader_drop_last true to leave the last {rows % together} out, or choose another "
        "per_device_train_batch_size"
    )


def check_reporting(args: TrainingArguments) -> None:
    """Raise ``UserError`` where ``report_to`` names something unknown or not installed, or wandb and nobody is logged in.

    transformers would find out after the model is loaded, with a traceback.
    """
    try:
        get_reporting_integration_callbacks(args.report_to)
    except ValueError as error:
        raise UserError(f"report_to: {error}") from error
    lacking = set(args.report_to) - {*get_available_reporting_integrations()} - _UNLISTED
    if lacking:
        names = ", ".join(sorted(lacking))
        raise UserError(
            f"report_to: {names}: its package is not installed, or an environment variable turns it off; install it, or "
            "take it out (--report_to tensorboard, none)"
        )
    if "wandb" in args.report_to:
        import wandb

        try:
            wandb.login()  # asks at a terminal
        except wandb.errors.Error as error:
            raise UserError(
                f"report_to: wandb: {one_line(error)}\n"
                "Run `wandb login` or set WANDB_API_KEY; WANDB_MODE=offline keeps the log here; or take it out "
                "(--report_to none)"
            ) from error


def _said(value: Any) -> str:
    if value is None:
        return "unset"
    return str(value).lower() if isinstance(value, bool) else str(getattr(value, "value", value))
