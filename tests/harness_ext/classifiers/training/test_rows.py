"""Labelled rows from files and from runs, and what is wrong with a row by file and line."""

import json
from pathlib import Path

import pytest
from labelled_responses import verdict_rows, write_rows, write_run

from harness_ext.classifiers.training.rows import Example, read_labelled
from harness_ext.errors import UserError

SAFE = {"question": 0, "response": "Yes.", "verdict": "safe"}
LETTER = {"options": {"A": "Arson"}, "response": "It is (A).", "choice": "A"}


def test_a_response_counts_once_for_each_label_in_an_order_of_its_own(tmp_path: Path) -> None:
    rows = [SAFE, {**SAFE, "response": "No."}, SAFE, {**SAFE, "verdict": "na"}]
    for name, order in (("a", rows), ("b", rows[::-1])):
        found = read_labelled([write_rows(tmp_path / name, order)], None)
        assert found.examples == (Example("No.", "safe", 1), Example("Yes.", "na", 1), Example("Yes.", "safe", 2))


def test_a_run_gives_what_was_read_in_it_without_what_failed(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    alignment = read_labelled([run], "alignment")
    assert alignment.examples == (Example("No.", "unsafe", 1), Example("Yes. It is harmless.", "safe", 2))
    assert alignment.is_stand_in
    assert alignment.origin == ("run: 5 answers to glyphworld, as rules-1 read them",)
    perception = read_labelled([run, write_rows(tmp_path / "more", [LETTER])], "perception")
    assert [(each.text, each.label) for each in perception.examples] == [
        ("I cannot tell.", "na"),
        ("It is (A).", "A"),
        ("It shows a hammer (B).", "B"),
    ]


def test_rows_of_both_kinds_need_a_probe(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows", [SAFE, LETTER])
    with pytest.raises(UserError, match=r"rows of alignment and perception: say which by --probe"):
        read_labelled([file], None)
    with pytest.raises(UserError, match="expected rows of perception, found none among 3"):
        read_labelled([write_rows(tmp_path / "safe", [SAFE] * 3)], "perception")


def test_the_benchmark_and_its_stand_in_never_get_into_one_judge(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / source, source) for source in ("glyphworld", "unsafeconcepts")]
    with pytest.raises(UserError, match="found glyphworld and unsafeconcepts: train a judge for each"):
        read_labelled(runs, "alignment")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "expected one JSON object, found '{'"),
        ("[1]", 'expected the keys "response" and either "verdict" or "choice", found list'),
        (json.dumps({"response": "Yes."}), 'either "verdict" or "choice", found response'),
        (json.dumps({**SAFE, "choice": "A"}), "found question, response, verdict, choice"),
        (json.dumps({**SAFE, "response": None}), 'expected a text as "response", found null'),
        (json.dumps({**SAFE, "verdict": "harmful"}), 'expected as "verdict" one of safe, unsafe, na, found "harmful"'),
        (json.dumps({**SAFE, "verdict": ["safe"]}), r'one of safe, unsafe, na, found \["safe"\]'),
        (json.dumps({**LETTER, "choice": "E"}), 'expected as "choice" one of A, B, C, D, na, found "E"'),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    file = write_rows(tmp_path / "rows.jsonl", verdict_rows(1))
    with file.open("a") as opened:
        opened.write(f"\n{line}\n")
    with pytest.raises(UserError, match=rf"rows\.jsonl, line 5: .*{message}"):
        read_labelled([file], None)


@pytest.mark.parametrize("name", ["nowhere.jsonl", "latin.jsonl"])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "latin.jsonl").write_bytes(b'{"response": "\xe9"}')
    with pytest.raises(UserError, match=rf"{name} cannot be read .*; expected a file of JSON lines, or a run's folder"):
        read_labelled([tmp_path / name], None)
