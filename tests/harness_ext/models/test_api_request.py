import json

import pytest
from api_asking import KEY, SAMPLED, model, questions
from api_stub import MODEL, ApiStub
from asking import ask

from harness_ext.common.errors import UserError
from harness_ext.models.api import OpenAICompatible


@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_an_image_arrives_as_it_was_without_loss_by_default(form):
    docs = questions()
    with ApiStub() as stub:
        ask(model(stub, image_format=form, detail="low"), docs)
    arrived = {asked.text: asked for asked in stub.asked}
    for image, text in docs:
        if image is None:
            assert arrived[text].images == []
            continue
        part = arrived[text].body["messages"][0]["content"][0]
        assert part["image_url"]["url"].startswith(f"data:image/{form};base64,")
        assert part["image_url"]["detail"] == "low"
        (received,) = arrived[text].images
        assert received.size == image().size
        assert (received.tobytes() == image().tobytes()) == (form == "png")


def test_what_is_sent_for_a_greedy_answer_and_that_nothing_is_to_be_stored(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-not-to-be-seen")
    with ApiStub() as stub:
        ask(model(stub), questions(2)[1:])
    (asked,) = stub.asked
    assert asked.body == {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Question 1?"}],
        "max_tokens": 12,
        "temperature": 0,
        "store": False,
    }
    # Another server than OpenAI is not sent what is meant for OpenAI.
    assert "not-to-be-seen" not in str(asked.headers)


def test_a_sampled_answer_has_a_seed_of_its_own_and_leaves_nothing_to_the_checkpoint():
    seeds = {}
    for seed in (0, 1):
        with ApiStub() as stub:
            ask(model(stub, seed=seed), [(None, "Hello")] * 3, SAMPLED)
        assert all(
            (asked.body["temperature"], asked.body["top_p"], asked.body["top_k"]) == (1.0, 0.9, -1)
            for asked in stub.asked
        )
        seeds[seed] = {asked.body["seed"] for asked in stub.asked}
    assert len(seeds[0] | seeds[1]) == 6
    assert all(0 <= seed < 2**31 for seed in seeds[0])


def test_further_fields_are_sent_and_null_leaves_one_out():
    with ApiStub() as stub:
        ask(model(stub, extra_body='{"store": null, "mm_processor_kwargs": {"max_pixels": 9}}'), questions(1))
    assert "store" not in stub.asked[0].body
    assert stub.asked[0].body["mm_processor_kwargs"] == {"max_pixels": 9}


def test_other_servers_are_sent_the_settings_that_openai_does_not_know():
    with ApiStub() as stub:
        ask(model(stub), questions(1), {**SAMPLED, "top_k": 5, "repetition_penalty": 1.05})
    assert (stub.asked[0].body["top_k"], stub.asked[0].body["repetition_penalty"]) == (5, 1.05)


def test_what_openai_itself_is_sent(monkeypatch):
    # Its own server is not asked in a test: the stub stands under its name.
    monkeypatch.setattr("harness_ext.models.api_client.is_openai", lambda url: True)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ApiStub(key=KEY) as stub:
        ask(model(stub), questions(1), {**SAMPLED, "top_p": 1.0})
        with pytest.raises(UserError, match="never stored at the provider"):
            model(stub, extra_body={"store": None})
    body = stub.asked[0].body
    assert body["store"] is False
    assert body.keys() == {"model", "messages", "max_completion_tokens", "temperature", "seed", "store"}
    assert KEY not in json.dumps(body)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_beams": 3}, "no beam search"),
        ({"do_sample": True, "top_k": 5}, "OpenAI's API does not know top_k=5"),
        ({"repetition_penalty": 1.05}, "OpenAI's API does not know repetition_penalty=1.05"),
    ],
)
def test_settings_that_the_api_cannot_do_are_refused_before_anything_is_sent(monkeypatch, settings, message):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(UserError, match=message):
        ask(OpenAICompatible(model=MODEL, answers="none"), questions(2), settings)
