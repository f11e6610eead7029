"""Warnings on disk: appended whole, and forgotten from a step on."""

import json
from pathlib import Path

import pytest

from align.ppo.warnings_file import WarningsFile
from harness_ext.errors import UserError


def written(folder: Path, *steps: int) -> WarningsFile:
    file = WarningsFile(folder / "run")
    for step in steps:
        file.append({"step": step, "responses": [{"response": "line\u2028\nand \ud800"}]})
    return file


def test_every_warning_is_a_line(tmp_path: Path) -> None:
    file = written(tmp_path, 8, 24)
    read = [json.loads(line) for line in file.path.read_text().split("\n")[:-1]]
    assert [each["step"] for each in read] == [8, 24]
    assert read[0]["responses"] == [{"response": "line\u2028\nand \ud800"}]


@pytest.mark.parametrize(("step", "kept"), [(25, [8, 16, 24]), (24, [8, 16]), (9, [8])])
def test_what_comes_after_a_checkpoint_is_forgotten(tmp_path: Path, step: int, kept: list[int]) -> None:
    file = written(tmp_path, 8, 16, 24)
    with file.path.open("a") as cut_off:
        cut_off.write('{"step": 8, "respon')
    file.keep_before(step)
    assert file.path.read_bytes() == written(tmp_path / "as if", *kept).path.read_bytes()


def test_of_a_run_that_begins_nothing_is_left(tmp_path: Path) -> None:
    file = written(tmp_path, 8)
    file.keep_before(0)
    assert not file.path.exists()
    file.keep_before(0)


def test_another_file_of_that_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "monitor.jsonl").write_text("my notes\n")
    with pytest.raises(UserError, match=r"monitor\.jsonl: expected lines of JSON with a step.*move it away"):
        WarningsFile(tmp_path).keep_before(0)
    assert (tmp_path / "monitor.jsonl").read_text() == "my notes\n"
