"""``align plan RECIPE``: what a run needs on each GPU, before anything is loaded, and which way to run it fits."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import torch

from align.plan.configurations import FILES, ONE, QLORA, Need, Planner
from align.plan.phases import Machine
from align.plan.sizes import find_shapes, sizes
from align.recipe import read_recipe
from align.settings import WITH_ROLLOUTS, RunSettings, read_settings
from harness_ext.common.errors import UserError
from harness_ext.common.files import require_writable, write_text
from harness_ext.common.output import CommandParser, say
from harness_ext.report.blocks import console, make_block, print_block

_GIB: Final = 2**30
# What CUDA and its libraries take of a GPU beside tensors; a usual figure, not worked out.
_CONTEXT: Final = 1.0
_HEADER: Final = (
    "GiB on each GPU", "weights", "LoRA", "optimiser", "critic", "buffers", "rollout", "scoring", "update", "needs", "fits"
)  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """Print the table, and write it where asked. Raises ``UserError`` as the run would, and where shapes cannot be had."""
    parser = CommandParser(prog="align plan", description=__doc__, allow_abbrev=False)
    parser.add_argument("recipe", help="a recipe, packaged or a file; --key value overrides it, as in a run")
    parser.add_argument("--gpus", type=int, default=1, metavar="N", help="GPUs, each with a process (default 1)")
    parser.add_argument("--memory", type=float, default=80.0, metavar="GIB", help="of each GPU (default 80)")
    parser.add_argument(
        "--model_config",
        type=Path,
        metavar="FILE",
        help="a config.json in place of the model's own, which is then not needed",
    )
    parser.add_argument("--prompt_tokens", type=int, metavar="N", help="of the longest prompt, its image included")
    parser.add_argument("--answer_tokens", type=int, metavar="N", help="of the longest written answer (SFT, DPO)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures, in bytes, to this file too")
    options, overrides = parser.parse_known_args(arguments)
    for name in ("gpus", "memory", "prompt_tokens", "answer_tokens"):
        if (given := getattr(options, name)) is not None and given <= 0:
            raise UserError(f"--{name}: expected a positive number, found {given:g}")
    require_writable([options.json])
    settings, on_gpu, of_run = _settings(options.recipe, overrides)
    if options.answer_tokens is not None and settings.method in WITH_ROLLOUTS:
        raise UserError("--answer_tokens: of SFT and DPO; the answers of a rollout have --max_completion_length")
    found = find_shapes(settings.model, options.model_config)
    rows, how = sizes(settings, found, options.prompt_tokens, options.answer_tokens)
    if "generation_batch_size" in of_run:  # of all processes
        rows = replace(rows, rollout=rows.rollout // options.gpus)
    planner = Planner(settings, found.config, rows, Machine(on_gpu, _autocast(settings)), options.gpus)
    needs = list(planner.needs())
    limit = int((options.memory - (_CONTEXT if on_gpu else 0)) * _GIB)
    by_vllm = str(of_run.get("use_vllm", False)).lower() == "true"
    # vLLM has no weights of four bits that an adapter could be added to.
    first = next((each for each in needs if each.peak <= limit and not (by_vllm and each.way == QLORA)), None)
    notes = [*found.notes, *how, *_notes(settings, on_gpu, options.gpus, by_vllm)]
    title = f"{options.recipe} on {options.gpus} x {options.memory:g} GiB"
    print_block(make_block(title, _HEADER, [_row(each, limit) for each in needs], notes), console(120))
    say(_advice(first, options.recipe, overrides, settings, options.gpus, options.memory))
    if options.json:
        ways = [{**asdict(each), "peak": each.peak, "fits": each.peak <= limit} for each in needs]
        taken = None if first is None else {"way": first.way, "checkpointing": first.checkpointing}
        content = {"recipe": options.recipe, "gpus": options.gpus, "rows": asdict(rows), "ways": ways, "first": taken}
        write_text(options.json, json.dumps({**content, "notes": notes}, indent=1) + "\n")


def _settings(named: str, overrides: Sequence[str]) -> tuple[RunSettings, bool, Mapping[str, Any]]:
    """The settings of the run; whether it is to compute on GPUs, which this machine need not have; and what was said of it.

    vLLM need not be installed either: rollouts are planned as if they were drawn here.
    """
    recipe, _ = read_recipe(["--config", named])
    if recipe.method is None:
        raise UserError(f"{named}: it names no method: add `method: ppo`, or another, to the recipe")
    given = {**recipe.values, **_said(overrides)}
    more = [] if "output_dir" in given else ["--output_dir", "unused"]
    more += ["--use_vllm", "false"] if "use_vllm" in given else []
    if "use_cpu" in given:
        settings = read_settings(recipe.method, ["--config", named, *overrides, *more])
        return settings, not settings.arguments.use_cpu, given
    # On a machine without a GPU its arithmetic would be refused, and on one with several a single process.
    more += ["--use_cpu", "true"]
    more += [] if {"bf16", "fp16"} & given.keys() else ["--bf16", "true"]
    return read_settings(recipe.method, ["--config", named, *overrides, *more]), True, given


def _said(overrides: Sequence[str]) -> dict[str, str]:
    """``--key value`` and ``--key=value`` as a mapping; a key without a value has an empty one."""
    found: dict[str, str] = {}
    for word, after in zip(overrides, [*overrides, ""][1:], strict=True):
        if word.startswith("--"):
            key, equals, value = word[2:].partition("=")
            found[key.replace("-", "_")] = value if equals else "" if after.startswith("--") else after
    return found


def _autocast(settings: RunSettings) -> torch.dtype | None:
    args = settings.arguments
    return torch.bfloat16 if args.bf16 else torch.float16 if args.fp16 else None


def _row(need: Need, limit: int) -> list[str]:
    parts = ("weights", "adapter", "optimiser", "critic", "buffers", "drawing", "scoring", "update", "peak")
    figures = [f"{getattr(need, name) / _GIB:.1f}" for name in parts]
    way = f"{need.way}, checkpointing" if need.checkpointing else need.way
    return [way, *figures, "yes" if need.peak <= limit else "no"]


def _notes(settings: RunSettings, on_gpu: bool, gpus: int, by_vllm: bool) -> list[str]:
    notes = [
        "needs: weights to buffers stay; of rollout, scoring and update, which holds the gradients, the largest counts"
    ]
    if by_vllm:
        notes.append("rollouts are vLLM's: on the same GPU, add its share (vllm_gpu_memory_utilization)")
    if on_gpu:
        notes.append(f"fits: with {_CONTEXT:g} GiB for CUDA and its libraries, a usual figure")
    if gpus > 1:
        sizes_of_run = "gradient_accumulation_steps" + (
            " and steps_per_generation" if settings.method in WITH_ROLLOUTS else ""
        )
        notes.append(
            f"each process has the recipe's batches: for steps as large as one process's, divide {sizes_of_run} by {gpus}"
        )
    if on_gpu and gpus > 1:
        notes.append(f"{', '.join(FILES)}: with their default buffers, by their documentation, not measured")
    return notes


def _advice(
    first: Need | None, recipe: str, overrides: Sequence[str], settings: RunSettings, gpus: int, memory: float
) -> str:
    if first is None:
        rollout = ", steps_per_generation or max_completion_length" if settings.method in WITH_ROLLOUTS else ""
        return (
            f"nothing fits in {memory:g} GiB: lower per_device_train_batch_size{rollout} (and accumulate more), or plan with "
            "more --gpus"
        )
    run = ["-m", "align.commands", settings.method, "--config", recipe, *overrides]
    run += ["--gradient_checkpointing", str(first.checkpointing).lower()]
    if first.way == QLORA and not settings.model.load_in_4bit:
        run += ["--load_in_4bit", "true"]
    if first.way == ONE or gpus == 1:
        start = ["align", *run[2:]]
    else:
        file = ["--config_file", f"align/accelerate/{FILES[first.way]}"] if first.way in FILES else []
        start = ["accelerate", "launch", *file, "--num_processes", str(gpus), *run]
    return f"take first: {first.way}\n  {shlex.join(start)}"
