"""Runs of two processes whose model is spread over them: ``python sharded_runs.py CHECKPOINT OUT RUNS``.

RUNS is JSON, a list of [name, engine, fate]: a name of `OF`; that of a file in ``align/accelerate``, or null for a whole
model in each process; and what becomes of it: "", "killed" in its fourth step and started again, or "spoilt", where the
gradient of the second process is not finite in the third. Each writes to its folder in OUT. A process gets the environment
that ``accelerate launch`` gives it. accelerate spreads no model on a CPU: it is told that there are two GPUs, and that they
compute on the CPU.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from signal import SIGKILL
from typing import Any
from unittest.mock import patch

import pytest
from killed_runs import ROLLOUTS, in_children, killings, train
from safetensors.torch import load_file

REPOSITORY = Path(__file__).parents[2]
PROCESSES = 2
SETTINGS: dict[str, Any] = {
    "renders": 1,
    "passes": 1,
    "max_steps": 4,
    "save_steps": 2,
    "learning_rate": 1e-3,
    # With the default, Adam takes a whole step for a gradient that is nothing but the rounding of another order of sums.
    "adam_epsilon": 1e-3,
    "max_grad_norm": 0.5,
    "lora_r": 4,
    "lora_dropout": 0.0,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "report_to": "none",
    "disable_tqdm": True,
    "bf16": False,
    "logging_steps": 1,
}
# What untrained models say has no verdict; their answers differ in length.
DRAWN: dict[str, Any] = {**ROLLOUTS, "max_completion_length": 6, "rewards": "[{name: length, cap: 6}]"}
OF: dict[str, dict[str, Any]] = {
    "sft": {},
    "sft bf16": {"bf16": True, "dtype": "bfloat16"},
    "dpo": {},
    "ppo": {**DRAWN, "stop_on_na": False, "critic_warmup": 1},
    "grpo": {**DRAWN, "num_generations": 2},
}
Run = tuple[str, str | None, str]


# --- for the tests ----------------------------------------------------------------------------------------------------


def start(checkpoint: Path, out: Path, runs: Sequence[Run]) -> None:
    """Run them all, in processes of their own, on copies of ``checkpoint``."""
    command = [sys.executable, __file__, str(checkpoint), str(out), json.dumps(runs)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr[-3000:]


def folder_of(out: Path, name: str, engine: str | None, fate: str = "") -> Path:
    return out / "-".join(filter(None, (name.replace(" ", "-"), engine or "whole", fate)))


def assert_follows(out: Path, name: str, engine: str) -> None:
    """The run under ``engine`` took the steps, to rounding, of the one with a whole model in each process."""
    whole, spread = (folder_of(out, name, each) / "final" for each in (None, engine))
    left = [sorted(file.name for file in folder.iterdir()) for folder in (whole, spread)]
    assert left[0] == left[1]
    expected, found = map(_history, (whole, spread))
    assert len(expected) == len(found) == SETTINGS["max_steps"]
    for mine, other in zip(expected, found, strict=True):
        # A log-probability of a whole answer is some 200 nats, in float32; DPO's figures are differences of them.
        assert other == pytest.approx(mine, rel=1e-4, abs=1e-5), (name, engine)
    start_, mine, other = (
        load_file(folder / "adapter_model.safetensors")
        for folder in (folder_of(out, name, None) / "checkpoint-2", whole, spread)
    )
    assert start_.keys() == mine.keys() == other.keys()
    moved, apart = (max(float((mine[key] - each[key]).abs().max()) for key in mine) for each in (start_, other))
    assert moved > 0 and apart <= 1e-3 * moved, (name, engine, apart, moved)


def _history(final: Path) -> list[dict[str, float]]:
    """The figures of each step; under DeepSpeed transformers logs no norm of the gradient where there was none."""
    clocks = ("step_time", "train_runtime", "train_samples_per_second", "train_steps_per_second")
    logged = json.loads((final / "trainer_state.json").read_text())["log_history"]
    kept = [{key: value for key, value in entry.items() if key not in clocks} for entry in logged]
    return [{**entry, "grad_norm": entry.get("grad_norm") or 0.0} for entry in kept]


def assert_resumed(out: Path, name: str, engine: str) -> None:
    """The run that was killed ended with the bits of the one that was not."""
    whole, killed = (folder_of(out, name, engine, fate) / "final" for fate in ("", "killed"))
    for file in ("adapter_model.safetensors", *(["value_head.safetensors"] if name == "ppo" else [])):
        assert (killed / file).read_bytes() == (whole / file).read_bytes(), (name, engine, file)
    assert _history(killed) == _history(whole)


def assert_stopped(out: Path, name: str, engine: str) -> None:
    """The run whose gradient was spoilt stopped at its third step, and left what it had."""
    folder = folder_of(out, name, engine, "spoilt")
    stopped = json.loads((folder / "stopped.json").read_text())
    assert stopped["step"] == 2 and "the gradient is not a finite number" in stopped["reason"], stopped
    left = sorted(each.name for each in folder.iterdir() if not each.name.startswith("."))
    assert left == ["checkpoint-2", "stopped.json"]


# --- the process that runs them -----------------------------------------------------------------------------------------


def main() -> None:
    from transformers import AutoModelForImageTextToText

    import align.run  # noqa: F401 - so that no child has to import it

    checkpoint, out = write_talker(Path(sys.argv[1]), Path(sys.argv[2])), Path(sys.argv[2])
    # So that no child has to import the model's code.
    AutoModelForImageTextToText.from_pretrained(checkpoint)
    runs: list[Run] = json.loads(sys.argv[3])
    if any(str(engine).startswith("zero") for _, engine, _ in runs):
        import deepspeed

        # It would be compiled, and adds in another order.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    for name, engine, fate in runs:
        run(name, engine, fate, checkpoint, folder_of(out, name, engine, fate))


def write_talker(checkpoint: Path, out: Path) -> Path:
    """A copy of ``checkpoint`` whose answers end with every fourth token: the processes' longest ones differ in length."""
    from transformers import AutoProcessor, GenerationConfig

    folder = shutil.copytree(checkpoint, out / "model")
    config = GenerationConfig.from_pretrained(folder)
    config.eos_token_id = list(range(0, len(AutoProcessor.from_pretrained(folder).tokenizer), 4))
    config.save_pretrained(folder)
    return folder


def run(name: str, engine: str | None, fate: str, checkpoint: Path, folder: Path) -> None:
    given = SETTINGS | OF[name] | {"model": checkpoint, "output_dir": folder, "use_cpu": engine is None}
    command = [name.split()[0], *(word for key, value in given.items() for word in (f"--{key}", str(value)))]
    precision = "bf16" if given["bf16"] else "no"
    environment = {} if engine is None else launched(REPOSITORY / "align" / "accelerate" / f"{engine}.yaml", precision)
    start_, expected = {"spoilt": (spoilt, 1), "killed": (killings()["in a step"], -SIGKILL), "": (train, 0)}[fate]
    ended = in_children(partial(in_engine, environment, partial(start_, command)), PROCESSES)
    assert ended == [expected] * PROCESSES, f"{folder}: {ended}"
    if fate == "killed":
        assert (folder / "checkpoint-2").is_dir() and not (folder / "checkpoint-4").exists()
        run(name, engine, "", checkpoint, folder)


def spoilt(command: list[str]) -> None:
    from align.run import TRAINERS

    kind = TRAINERS[command[0]]
    compute = kind.compute_loss

    def spoil(self: Any, *args: Any, **kwargs: Any) -> Any:
        loss = compute(self, *args, **kwargs)
        is_now = self.state.global_step == 2 and self.args.process_index == 1
        return (loss - loss).sqrt() if is_now else loss  # 0, at a point where a root has no slope

    with patch.object(kind, "compute_loss", spoil):
        train(command)


def launched(file: Path, precision: str) -> dict[str, str]:
    """What ``accelerate launch`` adds to the environment of a process, for a configuration ``file``."""
    import torch.distributed.run
    from accelerate.commands.launch import launch_command, launch_command_parser

    command = ["--config_file", str(file), "--num_processes", str(PROCESSES), "--mixed_precision", precision]
    seen: dict[str, str] = {}
    with patch.object(torch.distributed.run, "run", lambda _: seen.update(os.environ)):
        launch_command(launch_command_parser().parse_args([*command, "-m", "align.commands"]))
    return {variable: value for variable, value in seen.items() if os.environ.get(variable) != value}


def in_engine(environment: dict[str, str], train_: Callable[[], None]) -> None:
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType
    from transformers import training_args

    if not environment:
        return train_()
    os.environ.update(environment, ACCELERATE_TORCH_DEVICE="cpu")
    two_gpus = "gloo", DistributedType.MULTI_GPU
    with (
        patch.object(PartialState, "_prepare_backend", lambda *_, **__: two_gpus),
        patch.object(training_args, "is_torch_bf16_gpu_available", lambda: True),
    ):
        train_()


if __name__ == "__main__":
    main()
