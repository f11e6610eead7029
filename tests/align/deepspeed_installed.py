"""ZeRO-2 and ZeRO-3 where DeepSpeed is installed, on CPUs too; pytest does not collect this file by itself.

DS_ACCELERATOR=cpu python -m pytest tests/align/deepspeed_installed.py
"""

from pathlib import Path

import pytest
from sharded_runs import OF, assert_follows, assert_resumed, assert_stopped, start

ENGINES = ("zero2", "zero3")
# In bfloat16, ZeRO-3 rounds the adapter too.
NAMES = [name for name in OF if name != "sft bf16"]
KILLED = ("sft", "ppo")


@pytest.fixture(scope="module")
def out(untrained_vlm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharded")
    runs = [(name, engine, "") for name in NAMES for engine in (None, *ENGINES)]
    runs += [("sft", engine, "spoilt") for engine in ENGINES]
    start(untrained_vlm, folder, [*runs, *((name, engine, "killed") for name in KILLED for engine in ENGINES)])
    return folder


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NAMES)
def test_a_spread_model_takes_the_steps_of_a_whole_one(name: str, engine: str, out: Path) -> None:
    assert_follows(out, name, engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", KILLED)
def test_a_killed_run_ends_with_the_same_bits(name: str, engine: str, out: Path) -> None:
    assert_resumed(out, name, engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_gradient_that_is_not_finite_stops_all_processes(engine: str, out: Path) -> None:
    assert_stopped(out, "sft", engine)
