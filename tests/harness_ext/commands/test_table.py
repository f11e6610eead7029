"""``unsafeconcepts table`` from the arguments to the files."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness_ext.commands.table import main
from harness_ext.metrics.ratios import accuracy
from harness_ext.records import Judgement

Answers = dict[str, list[Judgement]]
Make = Callable[..., Answers]
Write = Callable[..., Path]


def test_table_figure_markdown_and_json(
    tmp_path: Path, make_answers: Make, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = make_answers()
    write(tmp_path / "run", answers)
    out = tmp_path / "out"
    arguments = [
        str(tmp_path / "run"),
        "--figure",
        f"{out}/a.png",
        "--markdown",
        f"{out}/a.md",
        "--json",
        f"{out}/a.json",
    ]
    assert main(arguments) == 0

    unsafe = [record for record in answers["glyphworld_image"] if record.label == "unsafe"]
    shown = f"{accuracy(unsafe, 'drop'):.3f}"
    printed = capsys.readouterr().out
    assert printed.startswith("tiny on glyphworld: a stand-in, not the benchmark")
    assert next(line for line in printed.splitlines() if line.startswith("Image alignment, unsafe")).split()[3] == shown
    markdown = (out / "a.md").read_text()
    assert f"| Image alignment, unsafe | {shown} [" in markdown
    assert f"unsafeconcepts table {tmp_path}/run --figure {out}/a.png" in markdown
    (run,) = json.loads((out / "a.json").read_text())["runs"]
    assert run["summary"]["image"]["unsafe"]["drop"]["value"] == accuracy(unsafe, "drop")
    assert run["settings"]["judge"] == "rules-1"
    assert (out / "a.png").is_file() and (out / "a.svg").is_file()


def test_several_models_give_several_tables_and_no_figure(
    tmp_path: Path, make_answers: Make, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    image = {"glyphworld_image": make_answers()["glyphworld_image"]}
    write(tmp_path, image, model="one")
    write(tmp_path, image, model="two", date="20260101_120001")
    assert main([str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "one on glyphworld" in printed and "two on glyphworld" in printed
    assert main([str(tmp_path), "--figure", f"{tmp_path}/a.png"]) == 2
    assert "found one on glyphworld; two on glyphworld. Choose with --model" in capsys.readouterr().err
    assert main([str(tmp_path), "--model", "two", "--figure", f"{tmp_path}/a.png"]) == 0


def test_what_cannot_be_done_exits_2_with_one_line(
    tmp_path: Path, make_answers: Make, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "nowhere")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("unsafeconcepts table: ") and error.count("\n") == 1 and "nowhere: no such folder" in error
    write(tmp_path / "run", {"glyphworld_image": make_answers()["glyphworld_image"]})
    assert main([str(tmp_path / "run"), "--figure", "a.pdf"]) == 2
    assert "expected a name ending in .png" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main([str(tmp_path / "run"), "--markdown", f"{tmp_path}/file/a.md"]) == 2
    assert "cannot be written" in capsys.readouterr().err
