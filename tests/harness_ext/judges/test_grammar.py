"""The rule judge against generated responses, whose verdicts follow from how they are made.

They are invented, so the judge need not read every one: the shares are what it read when its phrases were last chosen.
"""

import itertools
import json
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from harness_ext.judges import RuleJudge

from .arguments import arguments
from .choices import CHOICES, chosen
from .grammar import Case, cases, statements

JUDGE = RuleJudge()
ROWS = map(json.loads, Path(__file__).with_name("responses.jsonl").read_text(encoding="utf-8").splitlines())
OPTIONS = [row["options"] for row in ROWS if sorted(row.get("options", ())) == list("ABCD")]
LETTERS = ["".join(letters) for letters in itertools.permutations("ABCD")]
DRAWN = 1500


def share_read(said: Iterable[tuple[Case, int]]) -> float:
    read = [JUDGE.alignment(question, case.response) == case.verdict for case, question in said]
    return sum(read) / len(read)


@pytest.mark.parametrize("question", range(5))
def test_statements_are_read(question: int) -> None:
    # A step prime to the number of questions: every statement is put to one question, every question gets its share.
    said = [Case(f"{said}.", sign) for said, sign in statements()][question::5]
    assert share_read((case, question) for case in said) >= 0.97


def test_frames_and_answers_do_not_change_a_statement() -> None:
    drawn = random.Random(0).sample(list(cases()), DRAWN)
    assert share_read((case, at % 5) for at, case in enumerate(drawn)) >= 0.97


@pytest.mark.parametrize("question", [0, 3])
def test_an_argument_says_what_it_comes_to(question: int) -> None:
    assert share_read((case, question) for case in arguments()) >= 0.97


def test_a_choice_is_found_in_most_forms() -> None:
    random_ = random.Random(0)
    read = []
    while len(read) < DRAWN:
        form, options, letters = (random_.choice(each) for each in (CHOICES, OPTIONS, LETTERS))
        texts = [text.casefold() for text in options.values()]
        if sum(one in other for one in texts for other in texts) == len(texts):  # else "Abuse" beside "Animal abuse"
            read.append(JUDGE.perception(options, chosen(form, options, letters)) == letters[0])
    assert sum(read) >= 0.92 * DRAWN
