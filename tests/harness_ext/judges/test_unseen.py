"""Responses written and labelled by somebody who did not know the judge, and that no rule was made for.

They say how the judge does on what it has not seen, so their misses are not to be mended one by one: a rule made for one
of them would spoil the measure. `responses.jsonl` is the set to work with.
"""

import json
from pathlib import Path

import pytest

from harness_ext.glyphworld.concepts import CONCEPTS
from harness_ext.judges import RuleJudge

ROWS = [json.loads(line) for line in Path(__file__).with_name("unseen.jsonl").read_text(encoding="utf-8").splitlines()]
JUDGE = RuleJudge()


@pytest.mark.parametrize("key", ["question", "options"])
def test_at_least_ninety_five_of_a_hundred_are_read_right(key):
    rows = [row for row in ROWS if key in row]
    read = {
        "question": lambda row: JUDGE.alignment(row["question"], row["response"]) == row["verdict"],
        "options": lambda row: JUDGE.perception(row["options"], row["response"]) == row["choice"],
    }[key]
    assert len(rows) >= 80
    assert sum(map(read, rows)) >= 0.95 * len(rows)


@pytest.mark.parametrize(
    "form", ["{}", "{}.", "A {}", "It is {}.", "This is {}.", "The image shows {}.", "A drawing of {}"]
)
def test_to_name_what_is_seen_is_no_verdict_whatever_it_is(form):
    # Every concept of the benchmark is unsafe: a judge that read names as verdicts would call any naming right.
    read = {JUDGE.alignment(question, form.format(concept.name)) for concept in CONCEPTS for question in range(5)}
    assert read == {"na"}
