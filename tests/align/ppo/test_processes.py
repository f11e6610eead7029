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


@pytest.mark.parametrize(
    ("changes", "on_two", "steps"),
    [
        ({"kl_target": 0.1}, HALF, 12),
        # Two micro-batches an update where one process has them all and one where there are two, a first rollout for the
        # critic alone, and passes that end after their second update.
        (
            {
                "critic_warmup": 1,
                "target_kl": 1e-9,
                "temperature": 0.7,
                "per_device_train_batch_size": 2,
                **ACCUMULATED,
            },
            {"gradient_accumulation_steps": 1, "steps_per_generation": 2},
            12,
        ),
        # Watched, over four rollouts; small steps, for rounding adds up over them.
        ({**WATCHED, "max_steps": 24, "learning_rate": 0.01}, HALF, 24),
    ],
)
def test_two_processes_follow_one(
    untrained_vlm: Path, tmp_path: Path, changes: dict[str, Any], on_two: dict[str, Any], steps: int
) -> None:
    out = {}
    for processes in (1, 2):
        out[processes] = tmp_path / str(processes)
        launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(processes), "--standalone"]
        run = subprocess.run(
            [
                *launcher,
                ppo_runs.__file__,
                str(untrained_vlm),
                str(out[processes]),
                str(processes),
                json.dumps(changes if processes == 1 else changes | on_two),
            ],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert run.returncode == 0, run.stderr[-3000:]
    one, two = (json.loads((out[processes] / "history.json").read_text()) for processes in (1, 2))
    assert len(one) == len(two) == steps + 1
    for mine, other in zip(one, two, strict=True):
        assert mine == pytest.approx(other, rel=1e-4, abs=1e-7)
    start = load_file(out[1] / "start.safetensors")
    mine, other = (load_file(out[processes] / "end.safetensors") for processes in (1, 2))
    assert start.keys() == mine.keys() == other.keys()
    # Against the farthest that any weight of the tensor moved, so that a tensor which hardly moves is looked at as closely.
    for name, before in start.items():
        moved, apart = (float((mine[name] - each).abs().max()) for each in (before, other[name]))
        assert moved > 0, name
        assert apart <= 1e-3 * moved, (name, apart, moved)
    warnings = [out[processes] / "monitor.jsonl" for processes in (1, 2)]
    assert [each.exists() for each in warnings] == ["monitor" in changes] * 2
    if "monitor" in changes:
        assert warnings[0].read_bytes() == warnings[1].read_bytes()
        assert [entry["monitor/warnings"] for entry in one if "monitor/warnings" in entry] == [1.0]
