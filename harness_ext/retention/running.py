"""A harness as a process of its own: what it says goes into a log, its last line is shown, secrets are in neither."""

import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import IO, Final

from harness_ext.common.errors import UserError
from harness_ext.models.api_options import hide_in_bytes

_TAIL: Final = 25
_LONGEST: Final = 100
_GRACE_SECONDS: Final = 10


def run_logged(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    log: Path,
    secrets: Sequence[str],
    show: Callable[[str], None],
) -> None:
    """Run ``command`` in ``folder`` until it ends; it ends with this process, too.

    Args:
        command: The program and its arguments.
        folder: Its working folder.
        environment: All of its environment.
        log: The file for its output, written as it comes.
        secrets: What is hidden in the log and in messages.
        show: Is given the last line of output every now and then.

    Raises:
        UserError: It ended with another status than 0; the message holds the end of what it said.
    """
    with log.open("wb") as written:
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None
        writer = Thread(target=_copy, args=(process.stdout, written, secrets))
        writer.start()
        try:
            while process.poll() is None:
                show(_last_line(log))
                time.sleep(0.2)
        finally:
            _end(process)
            writer.join()
    show(_last_line(log))
    if process.returncode:
        said = "\n".join(_lines(log)[-_TAIL:])
        raise UserError(
            f"python {' '.join(command[1:3])} ended with status {process.returncode}; the end of its output:\n{said}"
        )


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _copy(source: IO[bytes], target: IO[bytes], secrets: Sequence[str]) -> None:
    """Copy word by word as it comes, with secrets hidden, also one that comes in two pieces: a secret holds no space."""
    held = b""
    while piece := os.read(source.fileno(), 2**16):
        held += piece
        whole = max(held.rfind(space) for space in (b" ", b"\n", b"\r")) + 1
        target.write(hide_in_bytes(held[:whole], secrets))
        target.flush()
        held = held[whole:]
    target.write(hide_in_bytes(held, secrets))


def _lines(log: Path) -> list[str]:
    """What stands there, a progress bar's many states as separate lines."""
    text = log.read_text(encoding="utf-8", errors="replace")
    return [line for line in re.split(r"[\r\n]+", text) if line.strip()]


def _last_line(log: Path) -> str:
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - 4096))
        text = stream.read().decode("utf-8", errors="replace")
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    return lines[-1][:_LONGEST] if lines else ""
