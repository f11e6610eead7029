"""A command of this project in a child of this process, which has imported it: fast, and apart from all others."""

import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

TRACEBACK: Final = "Traceback (most recent call last)"
# What a command may take of the processor, and by the clock: the machine may be busy.
CPU_SECONDS: Final = 20
_CLOCK_SECONDS: Final = 240
_CRASHED: Final = 70


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status, negative for a signal, what it printed to both streams, and the bytes it held."""

    status: int
    out: str
    err: str
    hung: bool
    most_memory: int = 0

    @property
    def problem(self) -> str:
        """``"hang"``, ``"killed"`` or ``"traceback"``, each with its last line; empty for a command that ended well."""
        last = next((line for line in reversed(self.err.splitlines()) if line.strip()), "")[:200]
        if self.hung:
            return f"hang: {last}"
        if self.status < 0:
            return f"killed: by signal {-self.status}: {last}"
        return f"traceback: {last}" if TRACEBACK in self.err or self.status == _CRASHED else ""


@cache
def entry(program: str) -> Callable[[], Any]:
    """What a command of this package runs."""
    (found,) = entry_points(group="console_scripts", name=program)
    loaded: Callable[[], Any] = found.load()
    return loaded


def run(
    command: Sequence[str] | Callable[[], Any], folder: Path, environment: Mapping[str, str], kill_after: float = 0
) -> Ended:
    """Run a command line, or a function, in ``folder``; ``kill_after`` seconds, if any, SIGKILL ends it."""
    printed = [folder / f".printed-{stream}" for stream in ("out", "err")]
    child = os.fork()
    if not child:
        status = _CRASHED
        try:
            _redirect(folder, printed, environment)
            status = _run(command)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    status, hung, start = 0, False, time.monotonic()
    while True:
        ended, state, used = os.wait4(child, os.WNOHANG)
        if ended:
            status = os.waitstatus_to_exitcode(state)
            break
        spent = time.monotonic() - start
        if spent > _CLOCK_SECONDS or (kill_after and spent > kill_after):
            hung = not kill_after
            os.kill(child, signal.SIGKILL)
        time.sleep(0.005)
    out, err = (path.read_text(encoding="utf-8", errors="replace") for path in printed)
    return Ended(status, out, err, hung or status == -signal.SIGXCPU, used.ru_maxrss * 1024)


def finish(ended: Ended) -> Ended:
    """The same. Raises ``SystemExit`` where a command did not end well."""
    if ended.status or ended.problem:
        raise SystemExit(f"an undamaged file is refused: {ended.problem or ended.err[-500:]}")
    return ended


def _redirect(folder: Path, printed: Sequence[Path], environment: Mapping[str, str]) -> None:
    os.chdir(folder)
    os.environ.update(environment)
    for stream, path in zip((sys.stdout, sys.stderr), printed, strict=True):
        stream.flush()
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream.fileno())
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS + int(time.process_time()), resource.RLIM_INFINITY))


def _run(command: Sequence[str] | Callable[[], Any]) -> int:
    try:
        if callable(command):
            return int(command() or 0)
        sys.argv = list(command)
        return int(entry(command[0])() or 0)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
