"""What a user installs is what the repository holds."""

import configparser
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, ROOT],
        check=True, capture_output=True,
    )  # fmt: skip
    return next(folder.glob("*.whl"))


def test_every_package_is_listed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    found = [*ROOT.glob("harness_ext/**/__init__.py"), *ROOT.glob("align/**/__init__.py")]
    present = {".".join(init.parent.relative_to(ROOT).parts) for init in found}
    assert listed == present | {"harness_ext.tasks"}


def test_constraints_are_the_versions_of_the_lock():
    lock = (ROOT / "requirements.lock").read_text().splitlines()
    pinned = [line.removesuffix(" \\") for line in lock if line[:1].isalnum()]
    assert (ROOT / "constraints.txt").read_text().splitlines() == pinned


def test_the_wheel_carries_tasks_and_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "tasks", "harness_ext", "align"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    expected = {f"harness_ext/{name}" if name.startswith("tasks/") else name for name in tracked}
    assert expected <= names


def test_a_regular_install_finds_its_tasks_from_the_repository_and_from_elsewhere(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    # Run from the repository's root, Python imports the checkout's package, which has no tasks inside.
    folders = {tmp_path: tmp_path / "site" / "harness_ext" / "tasks", ROOT: ROOT / "tasks"}
    for folder, expected in folders.items():
        printed = subprocess.run(
            [sys.executable, "-c", "import harness_ext.benchmark as benchmark; print(benchmark.task_folder('lmms_eval'))"],
            cwd=folder, env={**os.environ, "PYTHONPATH": str(tmp_path / "site")}, capture_output=True, text=True,
        )  # fmt: skip
        assert printed.stdout.strip() == str(expected / "lmms_eval"), printed.stderr
