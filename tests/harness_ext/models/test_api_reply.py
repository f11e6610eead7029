"""What servers send in place of a whole answer, or in a form of their own, put to the real client through the stub."""

import json

import pytest
from api_asking import kept, model, questions
from api_stub import ApiStub, answer_to
from asking import ask

from harness_ext.common.failures import CONTENT_FILTER, is_failed, mark_failed, reason_of
from harness_ext.common.provenance import provenance


def of_a_choice(**fields):
    """Changes every completion in its choice."""
    return lambda completion: {**completion, "choices": [{**completion["choices"][0], **fields}]}


def of_all(**fields):
    """Changes every completion as a whole."""
    return lambda completion: {**completion, **fields}


UPSTREAM = {"code": 502, "message": "Provider disconnected"}
NOT_WHOLE = {
    "OpenRouter": of_a_choice(finish_reason="error"),
    "OpenRouter, in the choice": of_a_choice(finish_reason="stop", error=UPSTREAM),
    "OpenRouter, beside the choices": of_all(error=UPSTREAM),
    "vLLM": of_a_choice(finish_reason="abort"),
    "DeepSeek": of_a_choice(finish_reason="insufficient_system_resource"),
    "Z.ai": of_a_choice(finish_reason="network_error"),
    "Cohere": of_a_choice(finish_reason="ERROR_LIMIT"),
    "no choices": of_all(choices=[]),
    "no message": of_all(choices=[{"index": 0}]),
    "no choice": of_all(choices=None, detail="The model is loading."),
}


@pytest.mark.parametrize("server", NOT_WHOLE)
def test_what_is_not_whole_is_asked_for_again_and_then_failed_and_never_an_answer(server, tmp_path):
    sent = iter([NOT_WHOLE[server]] * 2)
    with ApiStub(changed=lambda completion: next(sent, of_all())(completion)) as stub:
        assert not any(is_failed(answer) for answer in ask(model(stub), questions(3)))
        assert len(stub.asked) == 3 + 2
        stub.changed = NOT_WHOLE[server]
        answers = ask(model(stub, max_retries=1, max_failed=1, answers=str(tmp_path)), questions(2))
    assert all(is_failed(answer) and "(asked 2 times)" in answer for answer in answers)
    assert kept(tmp_path) == 0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (NOT_WHOLE["OpenRouter"], "the server broke the answer off: finish_reason 'error'"),
        (NOT_WHOLE["OpenRouter, in the choice"], "the server answered with an error: Provider disconnected"),
        (NOT_WHOLE["no choice"], "not a chat completion: "),
        (NOT_WHOLE["no choice"], "The model is loading."),
    ],
)
def test_why_it_is_not_whole_is_said_in_the_servers_words(changed, words):
    with ApiStub(changed=changed) as stub:
        (answer,) = ask(model(stub, max_retries=0, max_failed=1), questions(1))
    assert words in reason_of(answer)


@pytest.mark.parametrize(
    "finish",
    [*("stop", "STOP", "eos", "eos_token", "stop_sequence", "end_turn", "tool_calls", None, "", "null")],
)
def test_an_answer_that_the_model_ended_or_of_which_nothing_is_said_is_whole(finish, told):
    with ApiStub(changed=of_a_choice(finish_reason=finish)) as stub:
        assert ask(model(stub), questions(1)) == [answer_to(stub.asked[0])]
    assert told == []


def test_a_server_that_leaves_the_reason_out_gives_answers_too(told):
    def changed(completion):
        return {"choices": [{"message": {"content": "Yes."}}]}

    with ApiStub(changed=changed) as stub:
        assert ask(model(stub), questions(2)) == ["Yes."] * 2
    assert told == []


def test_a_reason_that_is_unknown_is_told_once_and_counted(told):
    with ApiStub(changed=of_a_choice(finish_reason="matched_rule")) as stub:
        assert not any(is_failed(answer) for answer in ask(model(stub), questions(3)))
    assert len(told) == 2
    assert "for the reason 'matched_rule', which is unknown here" in told[0]
    assert told[1].startswith("3 answers ended for a reason that is unknown here")


@pytest.mark.parametrize("finish", ["length", "max_tokens", "MAX_TOKENS", "model_length"])
def test_every_name_of_a_length_is_one(finish, told):
    with ApiStub(changed=of_a_choice(finish_reason=finish)) as stub:
        ask(model(stub), questions(1))
    assert told == ["task: 1 of 1 answers were cut at max_new_tokens=12: --gen_kwargs max_new_tokens=N lets them end"]


@pytest.mark.parametrize(
    "changed",
    [
        of_a_choice(finish_reason="SAFETY"),
        of_a_choice(finish_reason="sensitive"),
        of_a_choice(error={"code": 403, "message": "Your input was flagged", "metadata": {}}),
    ],
)
def test_every_name_of_a_content_filter_is_one(changed):
    with ApiStub(changed=changed) as stub:
        answers = ask(model(stub, max_failed=0), questions(2))
    assert [reason_of(answer) for answer in answers] == [CONTENT_FILTER] * 2
    assert len(stub.asked) == 2


def part(kind, text):
    return {"type": kind, "text": text}


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ([part("text", "No, "), part("text", "it is not.")], "No, it is not."),
        ([part("output_text", "No.")], "No."),
        ([{"type": "thinking", "thinking": [part("text", "Yes?")]}, part("text", "No.")], "No."),
        ([{"type": "thinking", "thinking": "Yes?", "signature": "x"}, part("text", "No.")], "No."),
        ([{"type": "redacted_thinking", "data": "x"}, part("reasoning", "Yes?"), "No."], "No."),
        ([{"type": "refusal", "refusal": "I cannot."}], "I cannot."),
        ([], ""),
    ],
)
def test_parts_of_text_are_an_answer_without_what_the_model_thought(content, answer):
    with ApiStub(message=lambda asked: ({"content": content}, "stop")) as stub:
        assert ask(model(stub), questions(2)) == [answer] * 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            [part("text", "No."), {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
            "'image_url'",
        ),
        ([{"type": "text", "text": {"value": "No."}}], "'text'"),
        ([7], "None: 7"),
        ({"text": "No."}, "None"),
    ],
)
def test_parts_of_another_kind_fail_by_name_and_end_no_run(content, words):
    def message(asked):
        return {"content": content if asked.text == "Question 1?" else answer_to(asked)}, "stop"

    with ApiStub(message=message) as stub:
        answers = ask(model(stub, max_retries=1, max_failed=0.5), questions(3))
    assert [is_failed(answer) for answer in answers] == [False, True, False]
    assert f"neither text nor thinking, but of type {words}" in answers[1]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"content": None, "reasoning_content": "The image is safe."}, "reasoning_content"),
        ({"content": " \n", "reasoning": "The image is safe."}, "reasoning"),
        ({"content": [{"type": "thinking", "thinking": "The image is safe."}]}, "content"),
    ],
)
def test_answers_that_a_reasoning_parser_took_are_counted_and_told_once(message, field, told):
    with ApiStub(message=lambda asked: (message, "stop")) as stub:
        answers = ask(model(stub), questions())
    assert [answer.strip() for answer in answers] == [""] * 12
    first, count, empty = told
    assert f"its text is in {field}, where a server's reasoning parser" in first and "--reasoning-parser" in first
    assert count.startswith("12 answers were empty because the server's reasoning parser")
    assert empty.startswith("task: 12 of 12 answers are empty")


def test_thoughts_beside_an_answer_are_none_of_it(told):
    with ApiStub(message=lambda asked: ({"content": "No.", "reasoning_content": "Yes?"}, "stop")) as stub:
        assert ask(model(stub), questions(1)) == ["No."]
    assert told == []


def test_half_a_surrogate_pair_can_be_written_wherever_it_comes_in(tmp_path):
    with ApiStub(
        message=lambda asked: ({"content": "Yes \ud83d"}, "stop"),
        changed=of_all(model="stub \udc00", system_fingerprint="fp \ud83d"),
    ) as stub:
        (answer,) = ask(model(stub, answers=str(tmp_path)), questions(1))
        assert ask(model(stub, answers=str(tmp_path)), questions(1)) == [answer]
        recorded = provenance()
        stub.changed = of_a_choice(error={"message": "no \ud83d"})
        (failed,) = ask(model(stub, max_retries=0, max_failed=1), questions(1))
    assert answer == "Yes \\ud83d"
    assert len(stub.asked) == 2
    json.dumps([answer, recorded, failed], ensure_ascii=False).encode()
    assert reason_of(failed).startswith("the server answered with an error: no \\ud83d")


def test_no_answer_is_taken_for_a_failure_from_the_server_or_from_the_disk(tmp_path):
    mark = mark_failed("it says").strip()
    with ApiStub(message=lambda asked: ({"content": f" {mark}"}, "stop")) as stub:
        answers = ask(model(stub, max_failed=0, answers=str(tmp_path)), questions(1))
        (file,) = tmp_path.rglob("*.jsonl")
        # As an earlier version kept it.
        (row,) = json.loads(file.read_text())
        del row["digest"]
        file.write_text(json.dumps([{**row, "answer": mark}]) + "\n")
        answers += ask(model(stub, max_failed=0, answers=str(tmp_path)), questions(1))
    assert answers == [" [[unsafeconcepts:failed]] it says", "[[unsafeconcepts:failed]] it says"]
    assert len(stub.asked) == 1
