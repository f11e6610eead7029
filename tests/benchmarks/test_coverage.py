"""The simulation in short: intervals that hold are told apart from intervals that do not."""

import json
from pathlib import Path
from typing import Any

import coverage
import coverage_cases
import numpy as np
import pytest

from harness_ext.metrics import intervals

CASES = (
    "perception .98",
    "images .98, clustered",
    "gap 0.01, text 0.99, correlation 0.3",
    "images: a loss of the margin 0.03, correlation 0.3",
    "three seeds, unsafe images .97",
)


def simulated(name: str) -> dict[str, Any]:
    (at,) = [at for at, case in enumerate(coverage_cases.cases()) if case.name == name]
    return coverage.simulate(at, trials=120, seed=3)


@pytest.mark.parametrize("name", CASES)
def test_the_interval_holds(name: str) -> None:
    row = simulated(name)
    assert row["holds"] is True, row


@pytest.mark.parametrize("name", CASES[:3])
def test_without_the_concept_that_was_not_seen_it_does_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "unseen_weights", lambda units, draws=10_000, seed=0: np.zeros(draws))
    row = simulated(name)
    assert row["holds"] is False and row["coverage"] < 0.93


def test_the_committed_table_is_of_these_cases_and_every_rule_is_met(tmp_path: Path) -> None:
    rows = json.loads((Path(__file__).parents[2] / "results/coverage/table.json").read_text())["rows"]
    assert [(row["group"], row["name"]) for row in rows] == [(case.group, case.name) for case in coverage_cases.cases()]
    for row, case in zip(rows, coverage_cases.cases(), strict=True):
        assert row["holds"] is (None if "none" in row else coverage.holds(case, row)), row["name"]
        assert row["holds"] is not False


def test_the_command_writes_what_it_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--only", "a category of", "--trials", "20", "--json", str(tmp_path / "a.json")]
    assert coverage.main([*arguments, "--markdown", str(tmp_path / "a.md")]) == 0
    said = capsys.readouterr().out
    assert "a category of two concepts, images .40                     no interval in 1.000" in said
    row = json.loads((tmp_path / "a.json").read_text())["rows"][1]
    assert f"| table: {row['name']} | 0.400 | {row['coverage']:.3f} |" in (tmp_path / "a.md").read_text()
