import re

import pytest
from api_asking import model, questions
from api_stub import ApiStub, answer_to
from asking import GREEDY, ask

from harness_ext.models.sanity import unlikely
from harness_ext.models.settings import Generated


@pytest.mark.parametrize(
    ("answers", "questions", "lines"),
    [
        (["Yes"] * 20, 20, ["all 20 answers to 20 different questions are the same: 'Yes'"]),
        ([" Yes\n", "Yes"] * 10, 20, ["all 20 answers to 20 different questions are the same: 'Yes'"]),
        (["Yes"] * 19, 19, []),
        (["Yes"] * 40, 8, []),
        (["Yes"] * 39 + ["No"], 40, []),
        (["", " "], 2, ["2 of 2 answers are empty"]),
        (["", "Yes"], 2, []),
        (
            [Generated("a", True), Generated("b", True), Generated("c", False)],
            3,
            ["2 of 3 answers were cut at max_new"],
        ),
        ([Generated("a", True), "b", "c"], 3, [r"1 of 1 answers were cut .*\(of 2 more it is not known\)"]),
        ([Generated("a", True), Generated("b", False)], 2, []),
        ([], 0, []),
    ],
)
def test_what_is_unlikely_of_the_answers_to_a_task(answers, questions, lines):
    found = unlikely(answers, questions, 12)
    assert len(found) == len(lines)
    assert all(re.match(line, told) for line, told in zip(lines, found, strict=True))


def test_a_run_says_at_its_end_that_its_answers_were_cut_also_where_they_are_read_from_the_disk(tmp_path, told):
    with ApiStub(message=lambda asked: ({"content": answer_to(asked)}, "length")) as stub:
        for _ in range(2):
            ask(model(stub, answers=str(tmp_path)), questions())
    assert len(stub.asked) == 12
    assert [line[:42] for line in told] == ["task: 12 of 12 answers were cut at max_new"] * 2


def test_an_answer_that_a_stop_string_ended_was_not_cut(told):
    with ApiStub(message=lambda asked: ({"content": f"{answer_to(asked)} END and on"}, "length")) as stub:
        ask(model(stub), questions(), {**GREEDY, "until": ["END"]})
    assert told == []


def test_a_run_of_one_answer_says_so_and_one_of_several_nothing(told):
    with ApiStub() as stub:
        ask(model(stub), questions(24))
        assert told == []
        stub.message = lambda asked: ({"content": "No."}, "stop")
        ask(model(stub), questions(24))
    assert told == ["task: all 24 answers to 24 different questions are the same: 'No.'"]
