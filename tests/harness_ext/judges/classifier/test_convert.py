"""A classifier of the authors as a folder: from a file, and from a hub at a branch."""

import os
import subprocess
import sys
from pathlib import Path

from model_hub import COMMIT, ModelHub
from paper_files import write_pickle

from harness_ext.common.files import sha256


def convert(*arguments: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "harness_ext.judges.classifier.paper", *map(str, arguments)]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, cwd=Path.cwd()
    )


def test_several_processes_convert_it_once(base: Path, alignment: Path, cache: Path) -> None:
    command = [
        sys.executable, "-m", "harness_ext.judges.classifier.paper", "alignment", "--file", alignment, "--base", base,
        "--sha256", sha256(alignment),
    ]  # fmt: skip
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = {process.communicate(timeout=900)[0].strip() for process in running}
    assert [process.returncode for process in running] == [0, 0]
    (folder,) = (path for path in cache.iterdir() if path.is_dir())
    assert printed == {str(folder)}


def test_a_branch_is_looked_up_and_said_and_a_commit_needs_no_network(base: Path, tmp_path: Path) -> None:
    files = tmp_path / "hub"
    files.mkdir()
    write_pickle(files / "epoch_10.pt", base, labels=3)
    options = ("alignment", "--base", base, "--revision")
    with ModelHub(files, "alignment_classifier") as hub:
        online = {**hub.environment(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
        asked = convert(*options, "main", **online)
        assert asked.returncode == 2 and f"--sha256 {sha256(files / 'epoch_10.pt')}" in asked.stderr
        first = convert(*options, "main", "--sha256", sha256(files / "epoch_10.pt"), **online)
        assert first.returncode == 0, first.stderr
        assert f"yiting/alignment_classifier: main is {COMMIT}" in first.stderr
    offline = {**online, "HF_HUB_OFFLINE": "1"}
    second = convert(*options, COMMIT, **offline)
    assert (second.returncode, second.stdout) == (0, first.stdout), second.stderr
    third = convert(*options, "f" * 40, **offline)
    assert third.returncode == 2
    assert f"hf download yiting/alignment_classifier --revision {'f' * 40}" in third.stderr
