"""The file of a leaderboard: what is read, what is refused and how it is said."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_ext.common.errors import UserError
from harness_ext.report.leaderboard.file import Entry, as_line, read_leaderboard, write_leaderboard

RESULTS = Path(__file__).parents[4] / "results"


def line(**changed: Any) -> dict[str, Any]:
    """A line as it should be, but for what is changed; a key that is changed to ... is left out."""
    whole = {
        "benchmark": "unsafeconcepts",
        "model": "A-VLM",
        "trained_on": "nothing of it",
        "judge": "rules-1",
        "decoding": "greedy",
        "questions": [0, 1, 2, 3, 4],
        "na": "drop",
        "images": 1567,
        "scores": {"image_unsafe": {"value": 0.4}, "text_unsafe": {"value": 0.9}, "gap": {"value": 0.5}},
        "origin": "submitted",
        "source": "https://example.org/a",
        "date": "2026-11-01",
    }
    return {key: value for key, value in (whole | changed).items() if value is not ...}


def write(path: Path, *lines: Any) -> Path:
    path.write_text("".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in lines))
    return path


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"judge": ...}, "judge: Field required"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"benchmark": " "}, "benchmark: String should match"),
        ({"model": " "}, "model: String should match"),
        ({"scores": {}}, "scores: .*at least 1 item"),
        ({"scores": {"accuracy": {"value": 0.4}}}, r"scores.accuracy.\[key\]: Input should be 'perception'"),
        ({"scores": {"image_unsafe": {"value": 1.2}}}, "scores.image_unsafe.value: .*less than or equal to 1"),
        ({"scores": {"image_unsafe": {"value": -0.2}}}, "a share is not negative, found -0.2"),
        (
            {"scores": {"image_unsafe": {"value": 0.0, "low": -0.1, "high": 0.1}}},
            "a share is not negative, found -0.1",
        ),
        ({"scores": {"image_unsafe": {"value": "0.4"}}}, "scores.image_unsafe.value: Input should be a valid number"),
        ({"scores": {"image_unsafe": {"value": True}}}, "scores.image_unsafe.value: Input should be a valid number"),
        ({"scores": {"image_unsafe": {"value": 0.4, "low": 0.3}}}, "expected low and high, or neither"),
        (
            {"scores": {"image_unsafe": {"value": 0.4, "low": 0.5, "high": 0.6}}},
            "0.4 is not in its interval, 0.5 to 0.6",
        ),
        (
            {"scores": {"image_unsafe": {"value": 0.4}, "text_unsafe": {"value": 0.9}, "gap": {"value": 0.4}}},
            "gap: expected text_unsafe - image_unsafe = 0.5000, found 0.4",
        ),
        ({"questions": [3, 0]}, "expected each question once, in order"),
        ({"questions": [5]}, "questions: unsafeconcepts has 5, numbered from 0, found 5"),
        ({"date": "2999-01-01"}, "date: 2999-01-01 is in the future"),
        ({"source": "ask me"}, "expected the address where the figures can be read"),
        ({"trained_on": "training split"}, "image_unsafe is about all images.*give test_unsafe and test_safe"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number_and_what_is_wrong(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    path = write(
        tmp_path / "board.jsonl", line(), line(model="B-VLM", **changed) if "model" not in changed else line(**changed)
    )
    with pytest.raises(UserError, match=f"board.jsonl, line 2: .*{said}"):
        read_leaderboard(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "expected one JSON object, found '{'"),
        ("[1]", "Input should be a valid dictionary"),
        ('{"model": "a", "model": "b"}', "the key 'model' is there twice"),
        ('{"scores": {"gap": NaN}}', "Field required"),
    ],
)
def test_what_is_no_object_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=f"line 1: .*{said}"):
        read_leaderboard(write(tmp_path / "board.jsonl", text))


def test_all_problems_are_said_at_once_and_a_line_twice_is_one(tmp_path: Path) -> None:
    path = write(tmp_path / "board.jsonl", line(), line(na="maybe"), "nothing", line(note="again"), line(run="seed 2"))
    with pytest.raises(UserError) as caught:
        read_leaderboard(path)
    problems = str(caught.value).splitlines()
    assert [problem.split("line ")[1].split(":")[0] for problem in problems] == ["2", "3", "4"]
    assert "the same model, run and setting as line 1" in problems[2]


def test_a_line_of_very_many_keys_is_refused_in_few_words(tmp_path: Path) -> None:
    keys = {f"\x1b[31m{number}": number for number in range(100_000)}
    path = write(tmp_path / "board.jsonl", json.dumps(line() | keys))
    with pytest.raises(UserError, match=r"line 1: '.*0': Extra inputs(.|\n)*and 99,950 more") as caught:
        read_leaderboard(path)
    assert len(str(caught.value)) < 20_000 and "\x1b" not in str(caught.value)


def test_an_empty_file_and_none_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no line in it"):
        read_leaderboard(write(tmp_path / "board.jsonl", ""))
    with pytest.raises(UserError, match="cannot be read"):
        read_leaderboard(tmp_path / "none.jsonl")


@given(
    st.floats(0, 1),
    st.floats(0, 1),
    st.text(min_size=1).filter(lambda text: text.strip() == text and text.isprintable()),
)
def test_what_is_written_is_read_again(image: float, text: float, note: str) -> None:
    scores = {"image_unsafe": {"value": image}, "text_unsafe": {"value": text}, "gap": {"value": text - image}}
    entry = Entry.model_validate(line(scores=scores, note=note[:500].strip(), date=None))
    assert Entry.model_validate(json.loads(as_line(entry))) == entry


def test_a_file_is_written_whole_with_the_rights_it_had(tmp_path: Path) -> None:
    path = write(tmp_path / "board.jsonl", line(), line(model="B-VLM"))
    path.chmod(0o640)
    entries = read_leaderboard(path)
    write_leaderboard(entries[::-1], path)
    assert [entry.model for entry in read_leaderboard(path)] == ["B-VLM", "A-VLM"]
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_this_projects_own_files_are_whole() -> None:
    references = read_leaderboard(RESULTS / "references.jsonl")
    assert {entry.origin for entry in references} == {"authors", "independent", "second-hand"}
    board = read_leaderboard(RESULTS / "leaderboard.jsonl")
    assert all(entry in board for entry in references)
    # Nothing of the gated benchmark could be measured here.
    assert {entry.benchmark for entry in board if entry.origin == "this project"} == {"glyphworld"}
    assert json.loads((RESULTS / "leaderboard.schema.json").read_text()) == Entry.model_json_schema()
