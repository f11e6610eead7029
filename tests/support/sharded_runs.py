"""Runs of two processes whose model is spread over them: `python sharded_runs.py CHECKPOINT OUT ENGINES` prints what they came to.

ENGINES is a JSON list of names of files in ``align/accelerate``. Each process gets the environment that ``accelerate launch``
gives it for that file. accelerate spreads no model on a CPU: it is told that two GPUs are there, whose device is a CPU.
"""

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch.distributed.run
from accelerate.commands.launch import launch_command, launch_command_parser
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from killed_runs import ROLLOUTS, die, in_children, train
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from align.run import TRAINERS  # noqa: F401 - so that no child has to import it

FILES = Path(__file__).parents[2] / "align" / "accelerate"
PROCESSES = 2
SETTINGS: dict[str, Any] = {
    "renders": 1,
    "passes": 1,
    "max_steps": 4,
    "save_steps": 2,
    # Adam takes a whole step for a gradient that is nothing but the rounding of another order of sums.
    "optim": "sgd",
    "learning_rate": 0.1,
    "lora_r": 4,
    "lora_dropout": 0.0,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "report_to": "none",
    "disable_tqdm": True,
    "bf16": False,
    "logging_steps": 1,
}
OF: dict[str, dict[str, Any]] = {
    "sft": {"max_grad_norm": 0.5},
    "dpo": {},
    "ppo": ROLLOUTS | {"stop_on_na": False, "critic_warmup": 1, "rewards": "[{name: length, cap: 3}]"},
    "grpo": ROLLOUTS | {"num_generations": 2},
}


def main() -> None:
    checkpoint, out, engines = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    # So that no child has to import the model's code.
    AutoModelForImageTextToText.from_pretrained(checkpoint)
    came_to: dict[str, Any] = {}
    for engine in [None, *engines]:
        for method in OF:
            came_to[f"{method} {engine}"] = run(method, engine, checkpoint, out)
    print(json.dumps(came_to))


def run(method: str, engine: str | None, checkpoint: str, out: Path) -> Any:
    folder = out / f"{method}-{engine}"
    given = SETTINGS | OF[method] | {"model": checkpoint, "output_dir": folder, "use_cpu": engine is None}
    command = [method, *(word for key, value in given.items() for word in (f"--{key}", str(value)))]
    environment = {} if engine is None else launched(FILES / f"{engine}.yaml")
    ended = in_children(partial(in_engine, environment, command), PROCESSES)
    assert ended == [0] * PROCESSES, (method, engine, ended)
    return str(folder)


def launched(file: Path) -> dict[str, str]:
    """What ``accelerate launch`` adds to the environment of a process, for a configuration ``file``."""
    command = ["--config_file", str(file), "--num_processes", str(PROCESSES), "--mixed_precision", "no"]
    seen: dict[str, str] = {}
    with patch.object(torch.distributed.run, "run", lambda _: seen.update(os.environ)):
        launch_command(launch_command_parser().parse_args([*command, "-m", "align.commands"]))
    return {name: value for name, value in seen.items() if os.environ.get(name) != value}


def in_engine(environment: dict[str, str], command: list[str]) -> None:
    if not environment:
        return train(command)
    os.environ.update(environment, ACCELERATE_TORCH_DEVICE="cpu")
    on_two = patch.object(PartialState, "_prepare_backend", lambda *_, **__: ("gloo", DistributedType.MULTI_GPU))
    with on_two:
        train(command)


if __name__ == "__main__":
    main()
