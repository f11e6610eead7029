"""The benchmark of training, at the smallest shapes: what it writes, and that every way trains, in the same arithmetic."""

import importlib
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TINY = {
    "shapes": "tiny",
    "rank": 2,
    "tokens": 3,
    "padded": 6,
    "batch": 2,
    "rollout": 4,
    "rollouts": 2,
    "checkpointing": True,
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The figures of every way, each of which the benchmark would measure in a process of its own."""
    folder = tmp_path_factory.mktemp("model")
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(BENCHMARKS)
        speed, shapes = importlib.import_module("train_speed"), importlib.import_module("shapes")
        options = Namespace(**{**vars(speed.parser().parse_args([])), **TINY})
        shapes.llava(options.shapes, folder, torch.float32, "cpu")
        ways = {name: Namespace(**{**vars(options), **way, "model": folder}) for name, way in speed.WAYS.items()}
        figures = speed.summary(options, {name: [speed.one_way(each)] for name, each in ways.items()})
    return json.loads(json.dumps(figures))


def test_every_way_trains_in_the_same_arithmetic(measured: dict[str, Any]) -> None:
    ways = measured["ways"]
    assert list(ways) == ["PPO, one pass", "the paper's scheme, one pass", "PPO, four passes", "GRPO, four passes"]
    for way in ways.values():
        assert way["arithmetic"] == {"weights": "float32", "LoRA": "float32", "autocast": None, "checkpointing": True}
        assert all(moved > 0 for moved in way["largest weight of LoRA's B"].values())
    assert set(ways["the paper's scheme, one pass"]["largest weight of LoRA's B"]) == {"policy", "value"}


def test_the_figures_say_what_they_are_of(measured: dict[str, Any]) -> None:
    for way in measured["ways"].values():
        assert way["seconds of each rollout"] == [[way["seconds a rollout"]]] and way["seconds a rollout"] > 0
        assert 0 < way["of these, drawing responses"] < way["seconds a rollout"]
        assert way["peak memory GiB"] > 0 and way["tokens a response"] == 3
    assert "ru_maxrss" in measured["peak memory is"] and measured["options"]["padded"] == 6
    ppo, paper, four, grpo = (way["seconds a rollout"] for way in measured["ways"].values())
    assert measured["times as fast as the paper"] == pytest.approx(paper / ppo)
    assert measured["share of the time of GRPO"] == pytest.approx(four / grpo)
