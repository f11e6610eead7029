"""What several tests need: a tiny VLM on disk, and a way to run a command as a user would."""

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings
from warm import Warm

# Nothing that the tests load is on a hub; a slip must fail at once, not hang.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Tensors this small are done before a second thread has started, and in one thread the sums are always the same.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tables are as wide as the terminal, and a test process may have none.
os.environ["COLUMNS"] = "120"
# A test that asks a model must get its answer, not one that an earlier test was given.
os.environ.setdefault("UNSAFECONCEPTS_ANSWERS", "none")
# Benchmarks of whoever runs the tests are none of theirs.
for variable in ("UNSAFECONCEPTS_BENCHMARKS", "UNSAFECONCEPTS_BENCHMARKS_OPTION"):
    os.environ.pop(variable, None)

# How long an example takes says nothing on a machine that does other things too. In CI the examples are the same each time,
# as Hypothesis itself would have it there: a change is not refused for what another draw would have found before it.
settings.register_profile("untimed", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("untimed")

# The files that take longest, for several processes at once: the first to begin, so that no process waits for another's last.
LONG_FILES: Final = (
    "test_retention.py",
    "test_evaluation.py",
    "test_processes.py",
    "test_killed.py",
    "test_sharded_runs.py",
    "test_families.py",
    "test_arguments.py",
    "test_lm_cli.py",
    "test_sharing.py",
    "test_gated.py",
    "test_generalisation_evaluation.py",
    "test_resuming.py",
    "test_browser.py",
)
# A command that takes so many seconds hangs.
LONGEST: Final = 900

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; the order within a file, and of the others, stays."""
    places = {name: place for place, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


def pytest_collection_finish() -> None:
    """What is imported stays: lmms-eval collects garbage after each evaluation, and would go through all of it."""
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()


@pytest.fixture(scope="session")
def untrained_vlm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Glyphworld's architecture with random weights: a real VLM that answers nonsense, ready in a second."""
    import torch

    from harness_ext.glyphworld.model import build_model, build_processor

    folder = tmp_path_factory.mktemp("untrained_vlm")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        processor = build_processor()
        model = build_model(processor)
    # Left to itself it would only ever say special tokens, which decode to nothing.
    model.generation_config.suppress_tokens = processor.tokenizer.all_special_ids
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is not the repository."""
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="session")
def run(elsewhere: Path) -> Run:
    """Run a command of this environment, as a user would, from a folder that is not the repository."""

    def run(
        *command: str | Path, cwd: Path = elsewhere, env: Mapping[str, str] | None = None, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            _command(*command),
            cwd=cwd,
            env=_environment(env, environment),
            capture_output=True,
            text=True,
            timeout=LONGEST,
        )

    return run


@pytest.fixture(scope="session")
def run_warm(elsewhere: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """As ``run``, in a process that need not import the libraries first, see ``warm``: for all that is not about starting."""
    with Warm() as warm:

        def run_warm(
            *command: str | Path, cwd: Path = elsewhere, env: Mapping[str, str] | None = None, **environment: str
        ) -> "subprocess.CompletedProcess[str]":
            outputs = tmp_path_factory.mktemp("outputs")
            return warm.run(_command(*command), cwd, _environment(env, environment), outputs, LONGEST)

        yield run_warm


def _command(program: str | Path, *arguments: str | Path) -> list[str]:
    return [str(Path(sys.executable).parent / program), *map(str, arguments)]


def _environment(env: Mapping[str, str] | None, more: Mapping[str, str]) -> dict[str, str]:
    return {**(os.environ if env is None else env), "COLUMNS": "120", **more}
