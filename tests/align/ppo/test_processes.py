"""PPO on two processes takes the steps that one process takes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import ppo_runs
import pytest
from safetensors.torch import load_file

REPOSITORY = Path(__file__).parents[3]

WATCHED = {"monitor": "rules", "monitor_first": 2, "monitor_window": 2, "monitor_warn": 0.0}
HALF = {"per_device_train_batch_size": 2}
ACCUMULATED = {"gradient_accumulation_steps": 2, "steps_per_generation": 4}


# By what is shown: the settings, what is other on two processes, and the number of steps.
RUNS: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "an adapted KL": ({"kl_target": 0.1}, HALF, 12),
    # Two micro-batches an update where one process has them all and one where there are two, a first rollout for the critic
    # alone, and passes that end after their second update.
    "accumulated": (
        {"critic_warmup": 1, "target_kl": 1e-9, "temperature": 0.7, "per_device_train_batch_size": 2, **ACCUMULATED},
        {"gradient_accumulation_steps": 1, "steps_per_generation": 2},
        12,
    ),
    # Over four rollouts; small steps, for rounding adds up over them.
    # The anchors of a rollout of eight lie in either half, and so one on each process.
    "anchored": ({"anchored": True, "kl_target": 0.1}, HALF, 12),
    "watched": ({**WATCHED, "max_steps": 24, "learning_rate": 0.01}, HALF, 24),
}


@pytest.fixture(scope="module")
def out(untrained_vlm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them on one process, in the folder ``1``, and on two, in ``2``."""
    folder = tmp_path_factory.mktemp("processes")
    torchrun = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    for processes, launcher in ((1, []), (2, torchrun)):
        changes = [one if processes == 1 else one | on_two for one, on_two, _ in RUNS.values()]
        given = [str(untrained_vlm), str(folder / str(processes)), str(processes), json.dumps(changes)]
        run = subprocess.run(
            [sys.executable, *launcher, ppo_runs.__file__, *given],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert run.returncode == 0, run.stderr[-3000:]
    return folder


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_follow_one(name: str, out: Path) -> None:
    changes, _, steps = RUNS[name]
    folders = [out / processes / str(list(RUNS).index(name)) for processes in ("1", "2")]
    one, two = (json.loads((each / "history.json").read_text()) for each in folders)
    assert len(one) == len(two) == steps + 1
    for mine, other in zip(one, two, strict=True):
        assert mine == pytest.approx(other, rel=1e-4, abs=1e-7)
    start = load_file(folders[0] / "start.safetensors")
    mine, other = (load_file(each / "end.safetensors") for each in folders)
    assert start.keys() == mine.keys() == other.keys()
    # Against the farthest that any weight of the tensor moved, so that a tensor which hardly moves is looked at as closely.
    for tensor, before in start.items():
        moved, apart = (float((mine[tensor] - each).abs().max()) for each in (before, other[tensor]))
        assert moved > 0, tensor
        assert apart <= 1e-3 * moved, (tensor, apart, moved)
    warnings = [each / "monitor.jsonl" for each in folders]
    assert [each.exists() for each in warnings] == ["monitor" in changes] * 2
    if "monitor" in changes:
        assert warnings[0].read_bytes() == warnings[1].read_bytes()
        assert [entry["monitor/warnings"] for entry in one if "monitor/warnings" in entry] == [1.0]
