"""Guards behind a server: OpenAI's moderation endpoint, and a guard of chat completions."""

import importlib
import json
import math

import pytest
from api_asking import KEY
from api_stub import MODEL, SNAPSHOT, ApiStub, Fault, moderated
from guard_asking import put
from own_folders import YAML, own_folder

from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed
from harness_ext.common.provenance import provenance
from harness_ext.metrics.likelihood import chance_of_unsafe
from harness_ext.models.answering import TooManyFailures
from harness_ext.models.api import OpenAICompatible
from harness_ext.models.guards.asking import guarded
from harness_ext.probes.metrics import auroc

POLICY = "No drinks.\nNo knives."


def opened(name, stub, **options):
    names = importlib.import_module("harness_ext.models.names")
    given = {"model": MODEL, "base_url": stub.url, "answers": "none", "backoff": 0.01, "max_retries": 2}
    return getattr(names, name)(**given | options)


def moderation(stub, **options):
    return opened("openai-moderation", stub, **options)


def test_an_image_is_sent_as_the_endpoint_takes_it_and_its_result_is_the_answer(monkeypatch):
    monkeypatch.setenv("THE_KEY", KEY)
    with ApiStub(key=KEY) as stub:
        judged = put(moderation(stub, api_key_variable="THE_KEY"), "glyphworld_image", every=5, count=12)
    assert len(stub.asked) == 12
    for asked in stub.asked:
        (part,) = asked.body["input"]
        assert asked.body.keys() == {"model", "input"}
        assert part["type"] == "image_url" and part["image_url"]["url"].startswith("data:image/png;base64,")
    results = {json.dumps(moderated(asked)["category_scores"]): moderated(asked) for asked in stub.asked}
    for answer, record in judged:
        found = results[json.dumps(json.loads(answer)["category_scores"])]
        assert record.verdict == ("unsafe" if found["flagged"] else "safe")
        assert record.guard_category == ("violence" if found["flagged"] else "")
        assert record.judge == "guard-openai-moderation-1"
    assert {record.verdict for _, record in judged} == {"safe", "unsafe"}
    assert provenance()["answered_by"] == SNAPSHOT
    assert provenance()["guard_policy"] == "its own"


def test_its_score_is_the_probability_of_unsafe():
    with ApiStub() as stub:
        judged = put(moderation(stub), "glyphworld_image_likelihood", every=400, count=16)
        scores = sorted(moderated(asked)["category_scores"]["violence"] for asked in stub.asked)
    chances = sorted(chance_of_unsafe(record.scores) for _, record in judged)
    assert all(math.isclose(one, other, abs_tol=1e-9) for one, other in zip(chances, scores, strict=True))
    assert {record.label for _, record in judged} == {"safe", "unsafe"}
    assert 0 <= auroc([(chance_of_unsafe(record.scores), record.label == "unsafe") for _, record in judged]) <= 1


@pytest.mark.parametrize(("score", "verdict"), [(0.0, "safe"), (1.0, "unsafe")])
def test_a_score_at_an_end_of_its_range_is_one(score, verdict):
    result = {"flagged": bool(score), "categories": {"hate": bool(score)}, "category_scores": {"hate": score}}
    with ApiStub(result=lambda asked: result) as stub:
        ((_, record),) = put(moderation(stub), "glyphworld_image_likelihood", count=1)
    assert record.verdict == verdict
    assert chance_of_unsafe(record.scores) == score


def test_a_concept_is_named_in_text():
    with ApiStub() as stub:
        judged = put(moderation(stub), "glyphworld_text", count=5)
    (asked,) = stub.asked
    assert asked.body["input"] == [{"type": "text", "text": f"An image that shows {judged[0][1].concept}."}]
    assert len({answer for answer, _ in judged}) == 1


@pytest.mark.parametrize(
    "changed",
    [
        lambda reply: {},
        lambda reply: {"results": []},
        lambda reply: {"results": [{"flagged": "perhaps", "categories": {}, "category_scores": {}}]},
        lambda reply: {"results": [{"flagged": True, "categories": {}, "category_scores": {"hate": 2}}]},
        lambda reply: [reply],
    ],
)
def test_what_is_no_moderation_is_a_failed_request(changed):
    with ApiStub(changed=changed) as stub, pytest.raises(TooManyFailures, match="not a moderation"):
        put(moderation(stub, max_retries=0), "glyphworld_image", count=5)
    with ApiStub(changed=changed) as stub:
        judged = put(moderation(stub, max_failed=1.0, max_retries=0), "glyphworld_image", count=5)
    assert all(is_failed(answer) and record.verdict == "failed" for answer, record in judged)


def test_a_fault_that_passes_is_asked_again():
    with ApiStub(Fault(503, times=1)) as stub:
        judged = put(moderation(stub), "glyphworld_image", count=5)
    assert {record.verdict for _, record in judged} <= {"safe", "unsafe"}


@pytest.fixture
def my_policy(tmp_path, monkeypatch):
    folder = own_folder(tmp_path / "my-policy", YAML + "policy: policy.txt\n")
    (folder / "policy.txt").write_text(POLICY)
    monkeypatch.setenv("UNSAFECONCEPTS_BENCHMARKS", str(folder))
    return "my-policy"


def test_the_endpoint_has_no_slot_for_a_policy(my_policy, told):
    with ApiStub() as stub:
        put(moderation(stub), f"{my_policy}_image", every=5, count=2)
    assert POLICY not in str([asked.body for asked in stub.asked])
    assert provenance()["guard_policy"] == "its own: it has no slot for another"
    assert any("openai-moderation-1 has no slot for the policy of my-policy" in line for line in told)


def test_a_guard_of_chat_completions_is_a_name_of_ones_own(my_policy, tmp_path, monkeypatch):
    file = tmp_path / "models.yaml"
    file.write_text(
        "mine: {backend: api, guard: shieldstral}\nnemotron: {backend: api, guard: nemotron-content-safety}\n"
    )
    monkeypatch.setenv("UNSAFECONCEPTS_MODELS", str(file))
    with ApiStub(message=lambda asked: ({"content": "yes" if asked.images else "no"}, "stop")) as stub:
        judged = put(opened("mine", stub), f"{my_policy}_image", every=5, count=2)
        judged += put(opened("mine", stub), f"{my_policy}_text", every=5, count=2)
    assert [record.verdict for _, record in judged] == ["unsafe", "unsafe", "safe", "safe"]
    system, user = stub.asked[0].body["messages"]
    assert system["role"] == "system" and system["content"].startswith("Judge whether the Document meets")
    assert f"<Instruct>: {POLICY}\n\n<Query>: " in user["content"][0]["text"]
    said = "User Safety: unsafe\nSafety Categories: Guns"
    with ApiStub(message=lambda asked: ({"content": said}, "stop")) as stub:
        ((_, record),) = put(opened("nemotron", stub), f"{my_policy}_image", count=1)
        put(opened("nemotron", stub), "glyphworld_image", count=1)
    assert (record.verdict, record.guard_category) == ("unsafe", "Guns")
    first, second = (asked.body["chat_template_kwargs"] for asked in stub.asked)
    assert first == {"request_categories": "/categories", "custom_policy": POLICY}
    assert second == {"request_categories": "/categories"}


def test_a_servers_chat_template_is_given_the_users_options_too_and_may_lack_the_slot(
    my_policy, tmp_path, monkeypatch, told
):
    file = tmp_path / "models.yaml"
    file.write_text(
        "nemotron: {backend: api, guard: nemotron-content-safety}\nmine: {backend: api, guard: shieldstral}\n"
    )
    monkeypatch.setenv("UNSAFECONCEPTS_MODELS", str(file))
    own = {"extra_body": {"chat_template_kwargs": {"enable_thinking": False}}}
    with ApiStub(message=lambda asked: ({"content": "User Safety: safe"}, "stop")) as stub:
        guard = opened("nemotron", stub, **own)
        put(guard, f"{my_policy}_image", count=1)
        assert provenance()["guard_policy"].endswith(" (sent, not verified)")
        put(guard, "glyphworld_image", count=1)
        put(guard, f"{my_policy}_image", count=1)
        # One that is given its options in its prompt.
        put(opened("mine", stub, **own), f"{my_policy}_image", count=1)
    assert "not verified" not in provenance()["guard_policy"]
    asked = [each.body["chat_template_kwargs"] for each in stub.asked]
    of_guard = {"enable_thinking": False, "request_categories": "/categories"}
    with_policy = of_guard | {"custom_policy": POLICY}
    assert asked == [with_policy, of_guard, with_policy, {"enable_thinking": False}]
    (warning,) = [line for line in told if "policy" in line]
    assert "not seen from here: where that has no slot (custom_policy), nemotron-content-safety-1" in warning


def test_no_defence_goes_before_a_guards_own_prompt():
    with pytest.raises(UserError, match="a guard is asked by its own prompt, and no defence goes before it"):
        guarded(OpenAICompatible)(guard="shieldstral", defence="principle", model=MODEL)


def test_no_likelihood_comes_from_chat_completions(tmp_path, monkeypatch):
    file = tmp_path / "models.yaml"
    file.write_text("mine: {backend: api, guard: shieldstral}\n")
    monkeypatch.setenv("UNSAFECONCEPTS_MODELS", str(file))
    with ApiStub() as stub, pytest.raises(UserError, match="not the scores behind them"):
        put(opened("mine", stub), "glyphworld_image_likelihood", count=1)
