"""Runs of two processes whose model is spread over them: `python sharded_runs.py CHECKPOINT OUT RUNS`.

RUNS is JSON: lists of a method, an engine (a file's name in ``align/accelerate``, or null for a whole model in each process),
and whether the run is killed in its fourth step and started again; each writes to a folder of its name in OUT. A process gets the
environment that ``accelerate launch`` gives it. accelerate spreads no model on a CPU: it is told that there are two GPUs,
and that they compute on the CPU.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from signal import SIGKILL
from typing import Any
from unittest.mock import patch

import torch.distributed.run
from accelerate.commands.launch import launch_command, launch_command_parser
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from killed_runs import ROLLOUTS, in_children, killings, train
from transformers import AutoModelForImageTextToText, AutoProcessor

import align
import align.run  # noqa: F401 - so that no child has to import it

FILES = Path(align.__path__[0]) / "accelerate"
PROCESSES = 2
SETTINGS: dict[str, Any] = {
    "renders": 1,
    "passes": 1,
    "max_steps": 4,
    "save_steps": 2,
    "learning_rate": 1e-2,
    # With the default, Adam takes a whole step for a gradient that is nothing but the rounding of another order of sums.
    "adam_epsilon": 1e-3,
    "lora_r": 4,
    "lora_dropout": 0.0,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "report_to": "none",
    "disable_tqdm": True,
    "bf16": False,
    "logging_steps": 1,
    "max_grad_norm": 0.5,
}
# What untrained models say has no verdict; their answers differ in length.
DRAWN: dict[str, Any] = {**ROLLOUTS, "max_completion_length": 6, "rewards": "[{name: length, cap: 6}]"}
OF: dict[str, dict[str, Any]] = {
    "sft": {},
    "dpo": {},
    "ppo": {**DRAWN, "stop_on_na": False, "critic_warmup": 1},
    "grpo": {**DRAWN, "num_generations": 2},
}


def main() -> None:
    checkpoint, out = write_talker(Path(sys.argv[1]), Path(sys.argv[2])), Path(sys.argv[2])
    for method, engine, is_killed in json.loads(sys.argv[3]):
        run(method, engine, is_killed, checkpoint, out / name(method, engine, is_killed))


def name(method: str, engine: str | None, is_killed: bool = False) -> str:
    """The folder of a run."""
    return f"{method}-{engine or 'whole'}{'-killed' if is_killed else ''}"


def write_talker(checkpoint: Path, out: Path) -> Path:
    """A copy of ``checkpoint`` whose answers end with every fourth token, so that the processes' longest ones differ in length."""
    folder = shutil.copytree(checkpoint, out / "model")
    model, processor = AutoModelForImageTextToText.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    model.generation_config.eos_token_id = list(range(0, len(processor.tokenizer), 4))
    model.generation_config.save_pretrained(folder)
    return folder


def run(method: str, engine: str | None, is_killed: bool, checkpoint: Path, folder: Path) -> None:
    given = SETTINGS | OF[method] | {"model": checkpoint, "output_dir": folder, "use_cpu": engine is None}
    command = [method, *(word for key, value in given.items() for word in (f"--{key}", str(value)))]
    environment = {} if engine is None else launched(FILES / f"{engine}.yaml")
    if is_killed:
        ended = in_children(partial(in_engine, environment, partial(killings()["in a step"], command)), PROCESSES)
        assert ended == [-SIGKILL] * PROCESSES, f"{folder}: {ended}"
        assert (folder / "checkpoint-2").is_dir() and not (folder / "checkpoint-4").exists()
    ended = in_children(partial(in_engine, environment, partial(train, command)), PROCESSES)
    assert ended == [0] * PROCESSES, f"{folder}: {ended}"


def launched(file: Path) -> dict[str, str]:
    """What ``accelerate launch`` adds to the environment of a process, for a configuration ``file``."""
    command = ["--config_file", str(file), "--num_processes", str(PROCESSES), "--mixed_precision", "no"]
    seen: dict[str, str] = {}
    with patch.object(torch.distributed.run, "run", lambda _: seen.update(os.environ)):
        launch_command(launch_command_parser().parse_args([*command, "-m", "align.commands"]))
    return {variable: value for variable, value in seen.items() if os.environ.get(variable) != value}


def in_engine(environment: dict[str, str], train_: Callable[[], None]) -> None:
    if not environment:
        return train_()
    os.environ.update(environment, ACCELERATE_TORCH_DEVICE="cpu")
    with patch.object(PartialState, "_prepare_backend", lambda *_, **__: ("gloo", DistributedType.MULTI_GPU)):
        train_()


if __name__ == "__main__":
    main()
