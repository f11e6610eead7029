"""Labelled rows from files and from runs, errors of a row by file and line, and properties of any split."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_responses import verdict_rows, write_rows, write_run

from harness_ext.common.errors import UserError
from harness_ext.judges.classifier.examples import Example, LabelledResponses, check_labels, split
from harness_ext.runs.labelled import read_labelled

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
    assert alignment.origin == ("run: 5 answers to glyphworld, as rules-2 read them",)
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
    with pytest.raises(UserError, match=r"expected labelled responses, found none in .*nothing\.jsonl$"):
        read_labelled([write_rows(tmp_path / "nothing.jsonl", [])], None)


def test_the_benchmark_and_its_stand_in_never_get_into_one_judge(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / source, source) for source in ("glyphworld", "unsafeconcepts")]
    with pytest.raises(UserError, match="found glyphworld and unsafeconcepts: train a judge for each"):
        read_labelled(runs, "alignment")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "expected one JSON object, found '{'"),
        ("[1]", r"expected one JSON object, found '\[1\]'"),
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
    with pytest.raises(
        UserError,
        match=rf"{name}(: cannot be read|, line 1: is not UTF-8) .*\. Expected a file of JSON lines, or a run's folder",
    ):
        read_labelled([tmp_path / name], None)


# --- the parts ---------------------------------------------------------------------------------------------------------

PAIRS = st.dictionaries(
    st.tuples(st.text(max_size=3), st.sampled_from(["safe", "unsafe", "na"])), st.integers(1, 9), min_size=1
)


@given(pairs=PAIRS, share=st.floats(0.05, 0.5), seed=st.integers(0, 5))
def test_every_example_is_in_one_part_and_every_response_on_one_side(
    pairs: dict[tuple[str, str], int], share: float, seed: int
) -> None:
    examples = [Example(text, label, count) for (text, label), count in pairs.items()]
    parts = split(examples, share, seed)
    together = [*parts.train, *parts.validation, *parts.held_out]
    assert sorted(together) == sorted(examples)
    sides = [{each.text for each in part} for part in (parts.train, parts.validation, parts.held_out)]
    assert sum(map(len, sides)) == len({each.text for each in examples})
    shuffled = random.Random(seed).sample(examples, len(examples))
    assert split(shuffled, share, seed) == parts


def test_the_shares_are_those_of_each_label_and_the_seed_draws_them() -> None:
    examples = [
        Example(f"{label} {at}", label, 1) for label, count in (("safe", 100), ("na", 20)) for at in range(count)
    ]
    parts = split(examples, 0.2, 0)
    counts = [
        [sum(each.label == label for each in part) for part in (parts.train, parts.validation, parts.held_out)]
        for label in ("safe", "na")
    ]
    assert counts == [[70, 10, 20], [14, 2, 4]]
    assert split(examples, 0.2, 1) != parts


@pytest.mark.parametrize(
    ("counts", "without", "message"),
    [
        ({"safe": 10, "unsafe": 10, "na": 9}, [], "found 9 of na"),
        ({"safe": 10, "unsafe": 10}, [], "found 0 of na.\n.*--without na makes a judge that never answers so"),
        ({"safe": 10, "unsafe": 10, "na": 3}, ["na"], "--without na: there are 3 responses of it"),
        ({"safe": 10, "unsafe": 10}, ["A"], "--without A: expected one of safe, unsafe, na"),
    ],
)
def test_labels_with_too_few_responses(counts: dict[str, int], without: list[str], message: str) -> None:
    examples = tuple(Example(f"{label} {at}", label, 1) for label, count in counts.items() for at in range(count))
    with pytest.raises(UserError, match=message):
        check_labels(LabelledResponses("alignment", examples, (), False), without)
