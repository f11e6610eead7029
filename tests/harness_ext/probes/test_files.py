"""The harnesses' task files: made once from what there is, by however many processes."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness_ext import hooks
from harness_ext.common.errors import UserError
from harness_ext.probes import files
from harness_ext.probes.files import tasks_folder

MAKE = "from harness_ext.probes.files import tasks_folder; print(tasks_folder('lmms_eval'))"


def test_the_same_content_is_the_same_folder_and_is_not_written_again(monkeypatch):
    first = tasks_folder("lmms_eval")
    written = {file: file.stat().st_mtime_ns for file in first.iterdir()}
    assert tasks_folder("lmms_eval") == first
    assert {file: file.stat().st_mtime_ns for file in first.iterdir()} == written
    assert tasks_folder("lm_eval") not in (first, None)
    shared = files.read_part

    def changed(harness, file):
        return shared(harness, file) | ({"num_fewshot": 1} if file == "task.yaml" else {})

    monkeypatch.setattr(files, "read_part", changed)
    other = tasks_folder("lmms_eval")
    assert other != first and other.parent == first.parent
    assert {file.name for file in other.iterdir()} == {file.name for file in first.iterdir()}


def test_processes_that_start_together_get_one_folder(tmp_path):
    started = [
        subprocess.Popen([sys.executable, "-c", MAKE], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = {process.communicate()[0].strip() for process in started}
    assert [process.returncode for process in started] == [0, 0, 0]
    (folder,) = map(Path, said)
    # Nothing half-written beside it.
    assert sorted(file.name for file in folder.parent.iterdir()) == [folder.name, f"{folder.name}.lock"]
    assert tasks_folder("lmms_eval") == folder
    assert all(yaml.compose(file.read_text()) for file in folder.iterdir())


@pytest.mark.parametrize(("file", "cache"), [("file", "file/cache"), ("cache/tasks", "cache")])
def test_a_cache_folder_that_cannot_be_written_takes_nothing_of_the_harness_away(
    tmp_path, monkeypatch, capsys, file, cache
):
    from lmms_eval.tasks import TaskManager

    hooks.register_tasks()
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("")
    monkeypatch.setenv("UNSAFECONCEPTS_CACHE", str(tmp_path / cache))
    with pytest.raises(UserError, match="cannot be written"):
        tasks_folder("lmms_eval")
    manager = TaskManager("ERROR")
    said = [line for line in capsys.readouterr().err.splitlines() if str(tmp_path) in line or "tasks are known" in line]
    assert (
        len(said) == 2
        and said[0].startswith("unsafeconcepts: ")
        and said[1] == "none of this project's tasks are known"
    )
    assert "mme" in manager.all_tasks and not any(name.startswith("glyphworld") for name in manager.all_tasks)
