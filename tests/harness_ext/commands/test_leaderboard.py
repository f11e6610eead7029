"""``unsafeconcepts leaderboard`` from the arguments to the files."""

import csv
import json
import multiprocessing
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness_ext.commands.leaderboard import main
from harness_ext.metrics.ratios import accuracy
from harness_ext.records import Judgement
from harness_ext.report.leaderboard.file import read_leaderboard

Answers = dict[str, list[Judgement]]
Make = Callable[..., Answers]
Write = Callable[..., Path]


def add(board: Path, run: Path, *more: str) -> int:
    return main([str(board), "--add", str(run), "--name", "Tiny", "--source", "https://example.org", *more])


def test_a_run_becomes_a_line_and_repetitions_one_row(
    tmp_path: Path, make_answers: Make, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    board = tmp_path / "board.jsonl"
    first, second = make_answers(seed=0), make_answers(seed=1)
    write(tmp_path / "a", first)
    write(tmp_path / "b", second)
    assert add(board, tmp_path / "a", "--run", "seed 0") == 0
    assert add(board, tmp_path / "b", "--run", "seed 1") == 0
    # Once more, nothing changes.
    before = board.read_bytes()
    assert add(board, tmp_path / "a", "--run", "seed 0") == 0
    assert board.read_bytes() == before

    entries = read_leaderboard(board)
    assert [(entry.run, entry.benchmark, entry.images, entry.judge) for entry in entries] == [
        ("seed 0", "glyphworld", 225, "rules-1"),
        ("seed 1", "glyphworld", 225, "rules-1"),
    ]
    shares = [
        accuracy([r for r in each["glyphworld_image"] if r.label == "unsafe"], "drop") for each in (first, second)
    ]
    assert [entry.scores["image_unsafe"].value for entry in entries] == [round(share, 4) for share in shares]
    everything = [r for task, records in first.items() if "capability" not in task for r in records]
    failed = sum(record.verdict == "failed" for record in everything) / len(everything)
    assert entries[0].scores["failed"].value == round(failed, 4)

    capsys.readouterr()
    out = tmp_path / "out"
    assert main([str(board), "--figure", f"{out}/b.png", "--markdown", f"{out}/b.md", "--csv", f"{out}/b.csv"]) == 0
    printed = capsys.readouterr().out
    mean = f"{sum(round(share, 4) for share in shares) / 2:.4f}"
    assert mean in printed and "glyphworld: a stand-in, not the benchmark; 225 images" in printed
    assert f"| {mean} (" in (out / "b.md").read_text()
    assert (out / "b.png").stat().st_size > 10_000 and "Tiny" in (out / "b.svg").read_text()
    rows = list(csv.DictReader((out / "b.csv").read_text().splitlines()))
    assert len(rows) == sum(len(entry.scores) for entry in entries)


def test_other_figures_of_the_same_run_need_replace(
    tmp_path: Path, make_answers: Make, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    board = tmp_path / "board.jsonl"
    write(tmp_path / "a", make_answers(seed=0))
    write(tmp_path / "b", make_answers(seed=1))
    assert add(board, tmp_path / "a") == 0
    assert add(board, tmp_path / "b") == 2
    assert "name the run by --run, or replace the line by --replace" in capsys.readouterr().err
    assert add(board, tmp_path / "b", "--replace") == 0
    assert len(read_leaderboard(board)) == 1


def test_rows_of_other_settings_stand_in_other_tables(
    tmp_path: Path, make_answers: Make, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    board = tmp_path / "board.jsonl"
    answers = make_answers()
    write(tmp_path / "a", answers)
    judged = {task: [replace(each, judge="rules-2") for each in records] for task, records in answers.items()}
    write(tmp_path / "b", judged)
    assert add(board, tmp_path / "a") == add(board, tmp_path / "a", "--na", "wrong") == add(board, tmp_path / "b") == 0
    capsys.readouterr()
    assert main([str(board)]) == 0
    assert capsys.readouterr().out.count("glyphworld: a stand-in") == 3


def test_every_figure_has_the_lines_convention_for_answers_without_a_verdict(
    tmp_path: Path, make_answers: Make, write: Write
) -> None:
    answers = {"glyphworld_image": make_answers()["glyphworld_image"]}
    write(tmp_path / "a", answers)
    for na in ("drop", "wrong"):
        board = tmp_path / f"{na}.jsonl"
        assert add(board, tmp_path / "a", "--na", na) == 0
        (entry,) = read_leaderboard(board)
        without = ("failed", "na") if na == "drop" else ("failed",)
        safe = [r.verdict for r in answers["glyphworld_image"] if r.label == "safe" and r.verdict not in without]
        assert entry.scores["over_refusal"].value == round(safe.count("unsafe") / len(safe), 4)


def test_where_every_request_failed_there_is_no_line(
    tmp_path: Path, make_answers: Make, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        tmp_path / "a", {"glyphworld_text": [replace(r, verdict="failed") for r in make_answers()["glyphworld_text"]]}
    )
    assert add(tmp_path / "board.jsonl", tmp_path / "a") == 2
    assert "every request failed" in capsys.readouterr().err
    assert not (tmp_path / "board.jsonl").exists()


def test_a_model_trained_on_the_benchmark_is_shown_by_what_it_was_not_trained_on(
    tmp_path: Path, make_answers: Make, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    board = tmp_path / "board.jsonl"
    answers = make_answers("unsafeconcepts")
    test = [replace(each, probe="test", row=each.row) for each in answers["unsafeconcepts_image"] if each.row < 90]
    trained = ("--training", "PPO", "--trained-on", "training split")
    write(tmp_path / "all", {"unsafeconcepts_image": answers["unsafeconcepts_image"]})
    assert add(board, tmp_path / "all", *trained) == 2
    assert "unsafeconcepts_test" in capsys.readouterr().err
    write(
        tmp_path / "test",
        {"unsafeconcepts_test": test, **{t: answers[t] for t in ("unsafeconcepts_image", "unsafeconcepts_text")}},
    )
    assert add(board, tmp_path / "test", *trained) == 0
    (entry,) = read_leaderboard(board)
    assert {"test_unsafe", "text_unsafe"} < entry.scores.keys()
    assert not {"image_unsafe", "gap", "perception", "over_refusal"} & entry.scores.keys()
    assert entry.images == 90


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["board.jsonl", "--add", "run"], "needs --name and --source too"),
        (
            ["board.jsonl", "--add", "run", "--name", "a", "--source", "b", "--training", "PPO"],
            "expected both or neither",
        ),
        (["board.jsonl", "--training", "PPO"], "--training: says something about a line to add"),
        (["board.jsonl", "--figure", "a.svg"], "expected a name ending in .png"),
        (["board.jsonl"], "cannot be read"),
        ([], "expected the leaderboard's FILE.jsonl"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_part_of_an_evaluation_is_refused(
    tmp_path: Path, make_answers: Make, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write(tmp_path / "a", {"glyphworld_image": make_answers()["glyphworld_image"]})
    results = next(run.rglob("*_results.json")) if run.is_dir() else next(run.parent.rglob("*_results.json"))
    content = json.loads(results.read_text())
    content["n-samples"]["glyphworld_image"]["original"] += 5
    results.write_text(json.dumps(content))
    assert add(tmp_path / "board.jsonl", tmp_path / "a") == 2
    assert "run it again without --limit" in capsys.readouterr().err


def test_the_schema_and_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--schema"]) == 0
    schema: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert {"model", "judge", "scores"} <= set(schema["required"])
    references = Path(__file__).parents[3] / "results" / "references.jsonl"
    assert main([str(references), "--check"]) == 0
    assert capsys.readouterr().out.endswith("14 lines, nothing wrong\n")


def test_eight_at_once_lose_no_line_and_a_link_stays_one(tmp_path: Path, make_answers: Make, write: Write) -> None:
    write(tmp_path / "a", make_answers(images=1))
    board = tmp_path / "kept" / "board.jsonl"
    board.parent.mkdir()
    (tmp_path / "link.jsonl").symlink_to(board)
    # Forked, they start at once; each would take seconds to import what it needs.
    context = multiprocessing.get_context("fork")
    ready = context.Barrier(8, timeout=600)

    def start(number: int) -> None:
        ready.wait()
        sys.exit(add(tmp_path / "link.jsonl", tmp_path / "a", "--run", f"seed {number}"))

    processes = [context.Process(target=start, args=(number,)) for number in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(900)
    assert [process.exitcode for process in processes] == [0] * 8
    assert sorted(entry.run for entry in read_leaderboard(board)) == [f"seed {number}" for number in range(8)]
    assert (tmp_path / "link.jsonl").is_symlink()
    assert {each.name for each in board.parent.iterdir()} == {"board.jsonl", ".board.jsonl.lock"}
