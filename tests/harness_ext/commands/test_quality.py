"""``unsafeconcepts quality`` on saved answers of a real model of the stand-in: a judge, people, and all tables after them."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from api_stub import MODEL
from judge_stub import judging, reply

from harness_ext.commands.compare import main as compare
from harness_ext.commands.quality import main as quality
from harness_ext.commands.table import main as table
from harness_ext.judges.llm.prompt import QUALITY
from harness_ext.runs.ratings import rateable_tasks, read_ratings, write_people

GOLDEN = Path(__file__).parents[2] / "golden" / "runs"
JUDGE = f"llm-quality-1-{MODEL}"


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    """TEST answered by the original model and by the one that PPO trained."""
    for name in ("original", "ppo"):
        shutil.copytree(GOLDEN / name / "generated", tmp_path / name)
    return [str(tmp_path / "original"), str(tmp_path / "ppo")]


def samples(run: str) -> Path:
    (path,) = Path(run).rglob("*_samples_glyphworld_test.jsonl")
    return path


def judged(runs: list[str], url: str, *more: str) -> int:
    options = f"model={MODEL},base_url={url},backoff=0.01,max_retries=0,answers=none"
    return quality([*runs, "--judge", "llm", "--judge_args", options, *more])


def test_a_judge_rates_test_and_the_tables_show_it(runs, tmp_path, capsys):
    with judging() as stub:
        assert judged(runs, stub.url, "--json", str(tmp_path / "q.json"), "--markdown", str(tmp_path / "q.md")) == 0
        asked = len(stub.asked)
    # Equal answers to one question about one concept are asked about once, over both runs.
    assert 0 < asked < 140
    printed = capsys.readouterr().out
    assert "glyphworld: a stand-in, not the benchmark" in printed
    assert printed.count(f"glyphworld_test, by {JUDGE}") == 2
    for run in runs:
        (found,) = read_ratings(samples(run))
        assert (len(found.of), found.failed, found.head.answers) == (70, 0, 70)
    rated = json.loads((tmp_path / "q.json").read_text(encoding="utf-8"))["ratings"]
    assert [(each["rater"], each["soundness"]["value"]) for each in rated] == [(JUDGE, 4.0)] * 2
    assert JUDGE in (tmp_path / "q.md").read_text(encoding="utf-8")

    assert table([runs[1], "--json", str(tmp_path / "t.json")]) == 0
    printed = capsys.readouterr().out
    assert f"TEST, by {JUDGE}" in printed and "distinct, names what is shown, words an answer" in printed
    written = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))["runs"][0]["quality"]
    assert written["ratings"]["glyphworld_test"][0]["rated"] == 70
    assert written["likeness"]["glyphworld_test"]["names"]["value"] == 1.0
    assert written["likeness"]["glyphworld_text"]["names"] is None

    assert compare([*runs, "--task", "glyphworld_test", "--json", str(tmp_path / "c.json")]) == 0
    rows = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))["pairs"][0]["rows"]
    of_ratings = [row for row in rows if row["kind"] == "rated"]
    assert [row["metric"] for row in of_ratings] == ["soundness", "informativeness"]
    assert (of_ratings[0]["before"], of_ratings[0]["after"], of_ratings[0]["retention"]) == (4, 4, None)


def test_only_a_part_is_rated_and_says_so_and_a_larger_part_adds_to_it(runs, capsys):
    with judging() as stub:
        assert judged(runs[:1], stub.url, "--limit", "10") == 0
        assert judged(runs[:1], stub.url, "--limit", "20") == 0
        assert len(stub.asked) <= 20
    (found,) = read_ratings(samples(runs[0]))
    assert len(found.of) == 20
    assert {label for _, label, *_ in found.of} == {"safe", "unsafe"}


def test_more_calls_than_allowed_are_refused_with_the_estimate_of_all_runs(runs, capsys):
    with judging() as stub:
        options = f"model={MODEL},base_url={stub.url},most_calls=5,answers=none"
        assert quality([*runs, "--judge", "llm", "--judge_args", options]) == 2
        assert not stub.asked
    assert "calls for 140 answers" in capsys.readouterr().err
    assert not list(Path(runs[0]).rglob("*_quality_*.jsonl"))


def test_what_the_judge_failed_on_is_counted_and_asked_again(runs, capsys):
    def message(asked):
        return ({"content": "no"}, "stop") if "tractor" in asked.text else reply(asked)

    with judging(message=message) as stub:
        assert judged(runs[:1], stub.url) == 0
        (found,) = read_ratings(samples(runs[0]))
        assert found.failed == 5 and len(found.of) == 65
        stub.message = reply
        assert judged(runs[:1], stub.url) == 0
    (found,) = read_ratings(samples(runs[0]))
    assert found.failed == 0 and len(found.of) == 70


def test_people_rate_a_blinded_sheet_and_agreement_is_printed(runs, tmp_path, capsys):
    with judging() as stub:
        judged(runs, stub.url)
    sheet = tmp_path / "sheet"
    assert quality([*runs, "--sheet", str(sheet), "--limit", "14"]) == 0
    capsys.readouterr()
    with (sheet / "sheet.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for name, step in (("anna", 0), ("ben", 1)):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "soundness", "informativeness"])
            writer.writerows([row["id"], 1 + (at + step) % 5, 1 + at % 5] for at, row in enumerate(rows))
    ratings = [word for name in ("anna", "ben") for word in ("--ratings", str(tmp_path / f"{name}.csv"))]
    assert quality([*runs, *ratings, "--key", str(sheet / "key.json"), "--json", str(tmp_path / "q.json")]) == 0
    printed = capsys.readouterr().out
    assert "people:anna – people:ben" in printed and f"{JUDGE} – people:anna" in printed
    agreements = json.loads((tmp_path / "q.json").read_text(encoding="utf-8"))["agreement"]
    assert len(agreements) == 3 * 2
    (same,) = [each for each in agreements if each["first"] == "people:anna" and each["criterion"] == "informativeness"]
    assert (same["kappa"]["value"], same["equal"]["value"], same["equal"]["n_answers"]) == (1, 1, 28)
    for run in runs:
        assert [each.head.rater for each in read_ratings(samples(run))] == [JUDGE, "people:anna", "people:ben"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--judge", "rules"], "--judge rules: does not rate answers; expected one of llm, llm-local"),
        (["--sheet", "s", "--judge", "llm"], "expected one of --judge, --sheet and --ratings"),
        (["--ratings", "a.csv"], "--ratings and --key belong together"),
        (["--judge_args", "model=m"], "expected --judge"),
        (["--ratings", "a/x.csv", "--ratings", "b/x.csv", "--key", "k"], "two files have one name"),
        (["--limit", "0"], "--limit must be at least 1"),
        (["--task", "glyphworld_perception"], "expected generated answers to the tasks named"),
        ([], "nothing is rated yet"),
    ],
)
def test_what_cannot_be_is_said(runs, arguments, told, capsys):
    assert quality([*runs, *arguments]) == 2
    assert told in capsys.readouterr().err


def test_a_sheet_of_other_runs_is_refused(runs, tmp_path, capsys):
    sheet = tmp_path / "sheet"
    assert quality([runs[0], "--sheet", str(sheet)]) == 0
    line = next(iter(json.loads((sheet / "key.json").read_text(encoding="utf-8"))["answers"]))
    (tmp_path / "anna.csv").write_text(f"id,soundness,informativeness\n{line},1,1\n", encoding="utf-8")
    arguments = ["--ratings", str(tmp_path / "anna.csv"), "--key", str(sheet / "key.json")]
    assert quality([runs[1], *arguments]) == 2
    assert "is of none of these runs" in capsys.readouterr().err
    assert quality([runs[0], runs[0]]) == 2
    assert "give each run once" in capsys.readouterr().err


def test_a_change_of_ratings_is_told_in_grades(runs, tmp_path):
    for run, grade in zip(runs, (2, 4), strict=True):
        (task,) = rateable_tasks(Path(run))
        grades = {key: (grade, 3 + (key[3] + key[4]) % 2) for key in task.answers}
        write_people(task, "people:anna", QUALITY, 0, grades)
    assert compare([*runs, "--task", "glyphworld_test", "--json", str(tmp_path / "c.json")]) == 0
    rows = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))["pairs"][0]["rows"]
    soundness, informativeness = (row for row in rows if row["kind"] == "rated")
    assert (soundness["before"], soundness["after"], soundness["change"]) == pytest.approx((2, 4, 2))
    assert 0 < soundness["low"] <= 2 <= soundness["high"] <= 4
    assert soundness["difference"] == "better" and soundness["n_units"] == 14
    assert 3 <= informativeness["before"] == informativeness["after"] <= 4


def test_ratings_that_only_one_run_has_are_not_compared(runs, capsys):
    with judging() as stub:
        judged(runs[:1], stub.url)
    capsys.readouterr()
    assert compare([*runs, "--task", "glyphworld_test"]) == 0
    printed = capsys.readouterr().out
    assert "soundness" not in printed
    assert "glyphworld_test: 70 ratings" in printed
