import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness_ext.common.errors import UserError
from harness_ext.retention.running import run_logged

SECRET = "sk-0123456789"


@pytest.fixture
def execute(tmp_path):
    """What runs a line of Python so; returns the log and what was shown."""

    def execute(line, secrets=(SECRET,), **environment):
        shown = []
        log = tmp_path / "log.txt"
        run_logged(
            [sys.executable, "-u", "-c", f"import os, sys, time; {line}"],
            folder=tmp_path,
            environment={**os.environ, **environment},
            log=log,
            secrets=secrets,
            show=shown.append,
        )
        return log.read_bytes().decode(), shown

    return execute


def test_output_goes_into_the_log_and_its_last_line_is_shown(execute):
    log, shown = execute("print('first'); sys.stderr.write('\\r10 %\\r20 %'); time.sleep(1)")
    assert log == "first\n\r10 %\r20 %"
    assert shown[-1] == "20 %"


def test_a_secret_is_hidden_even_in_pieces(execute):
    pieces = (f"a {SECRET} b {SECRET[:5]}", f"{SECRET[5:]} c")
    log, shown = execute(f"[(print(piece, end='', flush=True), time.sleep(0.3)) for piece in {pieces}]")
    assert log == "a [hidden] b [hidden] c"
    assert not any(SECRET[:5] in line for line in shown)


def test_without_a_secret_nothing_is_hidden(execute):
    assert execute("print('all of it')", secrets=("", ""))[0] == "all of it\n"


def test_a_failure_is_told_with_the_end_of_the_output(execute):
    with pytest.raises(UserError, match="status 3; the end of its output:") as failed:
        execute(f"print('\\n'.join(map(str, range(100)))); print('reason {SECRET}'); sys.exit(3)")
    lines = str(failed.value).splitlines()
    assert lines[-1] == "reason [hidden]"
    assert "99" in lines and "50" not in lines


def test_the_environment_is_the_one_that_is_given(execute):
    assert execute("print(os.environ['JUDGE'], os.getcwd())", JUDGE="me")[0].startswith("me /")


def test_it_ends_with_the_process_that_started_it(tmp_path):
    script = (
        "import os, signal, sys; from pathlib import Path; from harness_ext.retention.running import run_logged\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        "inner = 'import os, time; print(os.getpid(), flush=True); time.sleep(600)'\n"
        f"run_logged([sys.executable, '-c', inner], folder=Path('{tmp_path}'), environment=os.environ, "
        f"log=Path('{tmp_path}/log.txt'), secrets=[], show=lambda _: None)\n"
    )
    outer = subprocess.Popen([sys.executable, "-c", script])
    log = Path(tmp_path / "log.txt")
    while not (log.is_file() and log.read_text().strip()):
        assert outer.poll() is None
        time.sleep(0.1)
    inner = int(log.read_text())
    outer.send_signal(signal.SIGTERM)
    assert outer.wait(900) == 143
    with pytest.raises(ProcessLookupError):
        os.kill(inner, 0)
