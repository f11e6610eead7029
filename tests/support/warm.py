"""Commands as processes that have the libraries already: forks of one process that imported them and did nothing else.

Importing torch, transformers and datasets takes half of what a short evaluation takes. A fork is a process as a user's is but
for that: the console script, or ``python -m``, is its ``__main__``; its environment, folder, output and status are its own.
Nothing of this project or of a harness is imported before the fork. What a library read from the environment as it was
imported stays, so a command whose environment differs in that needs a process of its own.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing import get_context
from pathlib import Path
from typing import Final

LIBRARIES: Final = (
    "accelerate",
    "datasets",
    "evaluate",
    "nltk",
    "openai",
    "peft",
    "torch",
    "torchvision",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.processing_auto",
)
# What they read as they are imported; other variables they set themselves, in the process of the tests too.
READ_EARLY: Final = {
    "HF_DATASETS_OFFLINE",
    "HF_ENDPOINT",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HF_MODULES_CACHE",
    "OMP_NUM_THREADS",
}


class Warm:
    """The process that is forked. A context manager: it ends when it is left."""

    def __enter__(self) -> "Warm":
        self._environment = dict(os.environ)
        self._process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()

    def run(
        self, command: list[str], cwd: Path, environment: Mapping[str, str], outputs: Path, timeout: int
    ) -> "subprocess.CompletedProcess[str]":
        """Run ``command``: the path of a console script, or of Python before ``-m MODULE``. ``outputs`` gets its output."""
        changed = {name for name, _ in environment.items() ^ self._environment.items()}
        if early := sorted(changed & READ_EARLY):
            raise ValueError(
                f"{', '.join(early)}: read as the libraries are imported, which is over; use a process of its own"
            )
        written = [outputs / "stdout", outputs / "stderr"]
        request = {
            "command": command,
            "cwd": str(cwd),
            "environment": dict(environment),
            "outputs": [str(path) for path in written],
            "timeout": timeout,
        }
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(command, status, *(path.read_text(encoding="utf-8") for path in written))


def _serve() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    # No collection of a fork goes through the libraries, whose memory it shares.
    gc.freeze()
    for line in sys.stdin:
        fork = get_context("fork").Process(target=_become, kwargs=json.loads(line))
        fork.start()
        fork.join()
        print(fork.exitcode, flush=True)


def _become(command: list[str], cwd: str, environment: dict[str, str], outputs: list[str], timeout: int) -> None:
    signal.alarm(timeout)
    for descriptor, path in enumerate([os.devnull, *outputs]):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC), descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    try:
        _run(*command)
    finally:
        # A process that multiprocessing made would leave them out.
        atexit._run_exitfuncs()


def _run(program: str, *arguments: str) -> None:
    sys.path.pop(0)
    if Path(program).name == "python":
        option, module, *arguments = arguments
        assert option == "-m", arguments
        sys.path.insert(0, "")
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(program).parent))
        sys.argv = [program, *arguments]
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    _serve()
