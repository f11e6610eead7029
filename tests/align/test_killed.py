"""A run that is killed, wherever that is, ends with the bits of one that is not."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import killed_runs
import pytest

REPOSITORY = Path(__file__).parents[2]
# A folder is written in one way for all methods, so that SFT alone is killed at each of its places.
KILLED = {
    "sft": ["while a checkpoint is written", "at the end of an epoch", "while it finishes"],
    "dpo": ["at the end of an epoch"],
    "ppo": ["in a step"],
    "sft 2": ["while a checkpoint is written"],  # by the first of two processes; the other cannot go on without it
}


@pytest.fixture(scope="module")
def ends(untrained_vlm: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """By method, what a run came to that was let alone, and one that was killed at all these places."""
    out = tmp_path_factory.mktemp("runs")
    run = subprocess.run(
        [sys.executable, killed_runs.__file__, str(untrained_vlm), str(out), json.dumps(KILLED)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout)


@pytest.mark.parametrize("run", KILLED)
def test_it_ends_with_the_same_bits(run: str, ends: Any) -> None:
    whole, killed = ends[run]
    assert "adapter_model.safetensors" in whole["weights"]
    assert ("value_head.safetensors" in whole["weights"]) is (run == "ppo")
    assert killed["weights"] == whole["weights"]
    assert killed["left"] == whole["left"]
    assert whole["random states"] == killed["random states"] == (2 if run == "sft 2" else 1)
    assert len(whole["losses"]) == 6 and killed["losses"] == whole["losses"]
    # PPO counts once a rollout, of two updates.
    assert len(whole["tokens"]) == (3 if run == "ppo" else 6)
    assert killed["tokens"] == whole["tokens"] == sorted(whole["tokens"])
