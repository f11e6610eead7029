"""``unsafeconcepts compare`` from the arguments to the files."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness_ext.commands.compare import main
from harness_ext.report.compare import compare

Rows = list[dict[str, Any]]
Lm = Callable[..., Path]
Score = Callable[..., Rows]


@pytest.fixture
def runs(tmp_path: Path, lm_eval: Lm, score: Score) -> list[Path]:
    folders = [tmp_path / name for name in ("before", "after_1", "after_2")]
    for seed, folder in enumerate(folders):
        tasks = {
            "arc_easy": score(400, 0.5 + 0.2 * (seed == 1), seed),
            "mc2": [{"acc": 0.1 * (at % 9)} for at in range(30)],
        }
        lm_eval(folder, tasks, model=folder.name)
    return folders


def test_the_table_and_every_file(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = {kind: tmp_path / "out" / f"a.{kind}" for kind in ("markdown", "json", "csv", "latex")}
    arguments = [*map(str, runs[:2]), "--margin", "0.02"]
    for kind, path in outputs.items():
        arguments += [f"--{kind}", str(path)]
    assert main(arguments) == 0
    (pair,) = compare(runs[:2], margin=0.02).pairs
    row = pair.rows[0]

    printed = capsys.readouterr().out
    assert f"hf (pretrained=before) -> hf (pretrained=after_1) ({runs[0]} -> {runs[1]})" in printed.replace("\n", "")
    line = next(line for line in printed.splitlines() if line.startswith("arc_easy (acc)"))
    assert f"{row.before:.3f}" in line and f"{row.after:.3f}" in line and "better" in line and "retained" in line
    assert "Against a margin of 0.02: 1 retained, 0 degraded, 1 undecided." in printed

    markdown = outputs["markdown"].read_text()
    assert f"unsafeconcepts compare {runs[0]} {runs[1]} --margin 0.02" in markdown
    assert f"| arc_easy (acc) | {row.before:.3f} | {row.after:.3f} | {row.change:+.3f} [" in markdown
    content = json.loads(outputs["json"].read_text())
    assert content["pairs"][0]["rows"][0]["change"] == row.change
    assert content["command"][:2] == ["unsafeconcepts", "compare"]
    table = list(csv.DictReader(outputs["csv"].read_text().splitlines()))
    assert [float(each["p_holm"]) for each in table] == [each.p_holm for each in pair.rows]
    assert (table[1]["gained"], table[0]["gained"]) == ("", str(row.gained))
    latex = outputs["latex"].read_text()
    assert r"arc\_easy (acc) & " in latex and latex.count(r"\\") == 3 and r"change [95 \%]" in latex


def test_more_runs_are_each_held_against_the_first(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*map(str, runs), "--task", "arc*"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("arc_easy (acc)") == 2
    assert "2 runs are held against one: choosing the best of them needs a further correction." in printed


def test_what_cannot_be_done_exits_2(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(runs[0])]) == 2
    assert capsys.readouterr().err.startswith("unsafeconcepts compare: expected at least two result folders")
    assert main([*map(str, runs), "--metric", "arc_easy"]) == 2
    assert "--metric arc_easy: expected TASK=NAME" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main([*map(str, runs[:2]), "--csv", f"{tmp_path}/file/a.csv"]) == 2
    assert "cannot be written" in capsys.readouterr().err
