"""The campaign in short: the real commands, some damages of each kind of file, some strings; the long one runs by hand."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CAMPAIGN = ROOT / "benchmarks" / "campaign.py"


def test_nothing_ends_in_a_traceback_hangs_is_lost_or_swallowed() -> None:
    done = subprocess.run(
        [sys.executable, CAMPAIGN, "--quick", "--commands", "judge a *"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert not any(part["failures"] for part in found.values())
    assert found["damaged"]["damaged files"] > 40 and found["damaged"]["refused"] > 20
    assert found["kills"]["commands"]["judge a run"]["killed"] and found["servers"]["servers"] == 2


def test_it_counts_what_it_is_there_to_find(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A command with each fault, and one without."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "hostile"))
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "golden"))
    from damage import damages
    from damaged_files import _problem
    from forked import run

    (tmp_path / "runs").mkdir()
    file = Path("runs/a/file.json")

    def fails() -> None:
        raise RecursionError("too deep")

    assert _problem(run(fails, tmp_path, {}), file, True).startswith("traceback: RecursionError: too deep")
    assert _problem(run(lambda: 0, tmp_path, {}), file, True).startswith("swallowed")
    assert _problem(run(lambda: 2, tmp_path, {}), file, False).startswith("no file named")
    assert _problem(run(lambda: print("file.json: wrong") or 2, tmp_path, {}), file, True) == ""
    assert _problem(run(lambda: 0, tmp_path, {}), file, False) == ""
    made = list(damages("file.json", b'{"a": {"b": 1}, "c": [2]}', random.Random(0), 10))
    assert len({each.kind for each in made}) > 20 and any(each.kind == "a.b: twice" for each in made)
