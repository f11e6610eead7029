"""The rule judge against generated responses, whose verdicts follow from how they are made, a sample of them at random."""

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness_ext.judges import RuleJudge

from .arguments import arguments
from .choices import CHOICES, chosen
from .grammar import Case, cases, statements

JUDGE = RuleJudge()
CASES = list(cases())
ROWS = map(json.loads, Path(__file__).with_name("responses.jsonl").read_text(encoding="utf-8").splitlines())
OPTIONS = [row["options"] for row in ROWS if sorted(row.get("options", ())) == list("ABCD")]
LETTERS = ["".join(letters) for letters in itertools.permutations("ABCD")]


@pytest.mark.parametrize("question", range(5))
def test_every_statement_is_read(question: int) -> None:
    # A step prime to the number of questions: every statement is put to one question, every question gets its share.
    said = [Case(f"{said}.", sign) for said, sign in statements()][question::5]
    assert [case for case in said if JUDGE.alignment(question, case.response) != case.verdict] == []


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.sampled_from(CASES), st.integers(0, 4))
def test_frames_and_answers_do_not_change_a_statement(case: Case, question: int) -> None:
    assert JUDGE.alignment(question, case.response) == case.verdict


@pytest.mark.parametrize("question", [0, 3])
def test_an_argument_says_what_it_comes_to(question: int) -> None:
    assert [case for case in arguments() if JUDGE.alignment(question, case.response) != case.verdict] == []


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.sampled_from(CHOICES), st.sampled_from(OPTIONS), st.sampled_from(LETTERS))
def test_a_choice_is_found_in_every_form(form: str, options: dict[str, str], letters: str) -> None:
    texts = [text.casefold() for text in options.values()]
    if sum(one in other for one in texts for other in texts) == len(texts):  # "Abuse" beside "Animal abuse": ambiguous
        assert JUDGE.perception(options, chosen(form, options, letters)) == letters[0]
