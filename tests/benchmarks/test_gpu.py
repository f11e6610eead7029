"""The GPU's script in its smallest form, on a CPU: what it writes, what it keeps, and what it refuses."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MEASURED = BENCHMARKS.parent / "results" / "gpu.json"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the script wrote, run as a user runs it, but for the training."""
    file = tmp_path_factory.mktemp("gpu") / "gpu.json"
    environment = os.environ | {"PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    command = ["bash", str(BENCHMARKS / "gpu.sh"), "--small", "--parts", "asking", "--json", str(file)]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    assert f"written to {file}" in run.stdout
    return file


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The script in this process, on a machine without a GPU, with the arguments it is given."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    # It takes over the signal by which a process is asked to end.
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def call(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["gpu.py", *arguments])
        importlib.import_module("gpu").main()

    return call


def test_the_ways_of_asking_have_their_shares_and_phases(asked: Path) -> None:
    figures: dict[str, Any] = json.loads(asked.read_text(encoding="utf-8"))
    rate = figures["bfloat16 FLOP/s of a matrix product"]
    ways = figures["asking"]["llava"]["ways"]
    assert figures["device"] == "cpu" and rate > 0 and len(ways) == 5
    for way in ways.values():
        assert way["share of FLOP/s of a matrix product"] == pytest.approx(way["FLOP/s"] / rate)
        # No data sheet of a GPU is about a CPU.
        assert way["FLOP/s"] > 0 and way["share of FLOP/s by the data sheet"] is None
    phases = {way: found["phases"] for way, found in ways.items()}
    # Six questions about each image: its tower's pass, and the tokens of an answer after the first of eight.
    assert phases["one question at a time"]["vision tower"]["tokens"] == 12
    assert phases["prefix sharing"]["vision tower"]["tokens"] == 2
    assert phases["prefix sharing"]["answers' tokens"]["tokens"] == 12 * 7
    assert phases["prefix sharing"]["copies of the cache"]["seconds"] > 0
    assert phases["likelihood"]["answers' tokens"]["tokens"] == 0
    assert 4.5 < ways["likelihood"]["times one at a time by arithmetic"] < 6


def test_a_part_that_is_cut_off_leaves_the_others(
    asked: Path, main: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    before = json.loads(asked.read_text(encoding="utf-8"))
    with pytest.raises(SystemExit) as ended:
        main("--small", "--json", str(asked), "--parts", "PPO, one pass", "--seconds", "0.5")
    after = json.loads(asked.read_text(encoding="utf-8"))
    assert ended.value.code == 1 and "stopped after its" in capsys.readouterr().out
    assert after["parts"]["model"]["state"].startswith("stopped after its")
    assert after["parts"]["asking"]["state"] == "done" and after["asking"] == before["asking"]


def test_a_part_that_fails_keeps_nothing_of_before_and_the_others_keep_their_commit(
    asked: Path, tmp_path: Path, main: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {**importlib.import_module("gpu").SMALL, "asking": ["--images", "none"]}
    monkeypatch.setattr("gpu.SMALL", wrong)
    figures = json.loads(asked.read_text(encoding="utf-8")) | {"settings": wrong}
    made = {"made with": figures["parts"]["asking"]["made with"], "commit": figures["parts"]["asking"]["commit"]}
    earlier = {"state": "done", "seconds": 1.0, "made with": "torch 1", "commit": "0123"}
    figures["parts"]["PPO, one pass"] = figures["parts"]["asking"] = earlier
    file = tmp_path / "gpu.json"
    file.write_text(json.dumps(figures), encoding="utf-8")
    with pytest.raises(SystemExit):
        main("--small", "--json", str(file), "--parts", "asking")
    after = json.loads(file.read_text(encoding="utf-8"))
    assert after["parts"]["asking"].items() >= {"state": "failed with status 2", **made}.items()
    assert "asking" not in after and after["parts"]["PPO, one pass"] == earlier


@pytest.mark.parametrize(
    ("arguments", "told"), [(["--small", "--json", str(MEASURED)], "for what a GPU"), ([], "no GPU is seen")]
)
def test_the_gpus_file_is_for_a_gpu(arguments: list[str], told: str, main: Callable[..., None]) -> None:
    before = MEASURED.read_bytes() if MEASURED.exists() else None
    with pytest.raises(SystemExit, match=told):
        main(*arguments)
    assert (MEASURED.read_bytes() if MEASURED.exists() else None) == before
