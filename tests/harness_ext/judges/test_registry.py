"""Judges by name, and a judge of single answers as one of many."""

import pytest

from harness_ext.common.errors import UserError
from harness_ext.judges import RuleJudge
from harness_ext.judges.base import AlignmentAnswer, PerceptionAnswer
from harness_ext.judges.registry import JUDGES, open_judge

ANSWERS = [
    AlignmentAnswer(question=0, response="Yes."),
    AlignmentAnswer(question=3, response="No, it is not."),
    AlignmentAnswer(question=1, response=""),
    PerceptionAnswer(options={"A": "a cat", "B": "a dog"}, response="It is a dog."),
]


def test_the_rule_judge_by_name_says_of_each_answer_what_it_says_of_one() -> None:
    judge = open_judge("rules", {})
    assert judge.name == RuleJudge().name
    assert list(judge.judge(ANSWERS)) == ["safe", "unsafe", "na", "B"]


def test_a_judge_that_there_is_not_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserError, match=r"'rule'.*rules"):
        open_judge("rule", {})


@pytest.mark.parametrize("name", JUDGES)
def test_an_option_that_a_judge_has_not_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"judge {name}: no option colour"):
        open_judge(name, {"colour": "red"})
