"""Two processes that FSDP2 spreads the model over take the steps of two that each hold all of it.

DeepSpeed is not among what the tests install: ``deepspeed_installed.py`` holds ZeRO-2 and ZeRO-3 to the same.
"""

from pathlib import Path

import pytest
from sharded_runs import OF, assert_follows, assert_resumed, assert_stopped, start

KILLED = ("sft", "ppo")


@pytest.fixture(scope="module")
def out(untrained_vlm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharded")
    runs = [(name, engine, "") for name in OF for engine in (None, "fsdp2")]
    start(untrained_vlm, folder, [*runs, ("sft", "fsdp2", "spoilt"), *((name, "fsdp2", "killed") for name in KILLED)])
    return folder


@pytest.mark.parametrize("name", OF)
def test_a_spread_model_takes_the_steps_of_a_whole_one(name: str, out: Path) -> None:
    assert_follows(out, name, "fsdp2")


@pytest.mark.parametrize("name", KILLED)
def test_a_killed_run_ends_with_the_same_bits(name: str, out: Path) -> None:
    assert_resumed(out, name, "fsdp2")


def test_a_gradient_that_is_not_finite_stops_all_processes(out: Path) -> None:
    assert_stopped(out, "sft", "fsdp2")
