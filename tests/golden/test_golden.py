"""Every command that reads runs prints and writes what it did: a change of a golden file is a change of what users see."""

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("golden_make", Path(__file__).with_name("make.py"))
golden = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(golden)


@pytest.mark.parametrize("name", golden.CASES)
def test_what_a_command_prints_and_writes_is_what_it_was(name, tmp_path):
    made = golden.make(name, tmp_path / "work")
    kept = {path.name: path.read_text(encoding="utf-8") for path in (golden.OUTPUTS / name).iterdir()}
    assert sorted(made) == sorted(kept)
    for file, text in made.items():
        assert not (unlike := golden.difference(kept[file], text, file)), unlike


def test_every_golden_file_is_of_a_case():
    assert {path.name for path in golden.OUTPUTS.iterdir()} == set(golden.CASES)
