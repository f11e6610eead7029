"""Defences by a server: the same passes, each asked once, several at a time."""

import pytest
from api_asking import kept, model, questions
from api_stub import ApiStub, Asked, answer_to
from asking import GREEDY, ask

from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed, reason_of
from harness_ext.models.defences.caption import DESCRIBE, DESCRIBED


def described(count=12):
    """The stub's answers to ``questions`` by way of its own description."""
    answers = []
    for image, text in questions(count):
        if image is not None:
            said = answer_to(Asked({}, {}, DESCRIBE.replace("{question}", text), [image()]))
            text = f"{DESCRIBED.format(said)}\n\n{text}"
        answers.append(answer_to(Asked({}, {}, text, [])))
    return answers


def test_a_server_describes_and_then_answers_without_the_image():
    with ApiStub() as stub:
        assert ask(model(stub, defence="caption"), questions(), GREEDY) == described()
    # Eight questions are about an image, and four in words alone.
    assert [bool(asked.images) for asked in stub.asked].count(True) == 8
    assert len(stub.asked) == 8 + 12
    assert {asked.body["max_tokens"] for asked in stub.asked if asked.images} == {256}
    # No question is answered before all images are described.
    assert all(asked.text.startswith(("Describe", "Question")) for asked in stub.asked[:12])


def test_a_description_that_ends_inside_a_thought_fails_the_question_that_it_was_for():
    def thinking(asked):
        if asked.images and "Question 0?" in asked.text:
            return {"content": "<think>A lamp, or"}, "length"
        return {"content": answer_to(asked)}, "stop"

    with ApiStub(message=thinking) as stub:
        cut, *others = ask(model(stub, defence="caption", max_failed=1.0), questions(), GREEDY)
    assert is_failed(cut)
    assert "pass 1 of a defence ends inside a thought: raise the defence's option tokens" in reason_of(cut)
    assert others == described()[1:]
    # It was not asked without image and description.
    assert len(stub.asked) == 8 + 11


def test_a_server_is_asked_nothing_twice_after_an_interruption(tmp_path):
    with ApiStub(holds_after=15) as stub:
        cut = model(stub, defence="caption", answers=str(tmp_path), concurrency=1, timeout=0.5, max_retries=0)
        with pytest.raises(UserError, match="requests failed, more than max_failed"):
            ask(cut, questions(), GREEDY)
        assert kept(tmp_path) == 15
        stub.holds_after, before = float("inf"), len(stub.asked)
        assert ask(model(stub, defence="caption", answers=str(tmp_path)), questions(), GREEDY) == described()
        assert len(stub.asked) - before == 20 - 15


@pytest.mark.parametrize("defence", ["coca", "principle+steer"])
def test_what_acts_within_a_model_is_refused_at_a_server(defence):
    with ApiStub() as stub, pytest.raises(UserError, match="acts within the model, which this backend does not open"):
        model(stub, defence=defence)
