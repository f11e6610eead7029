import json
import time
from email.utils import formatdate
from urllib.parse import quote

import httpx2
import pytest
from api_asking import ALWAYS, KEY, SAMPLED, expected, kept, model, questions
from api_stub import BROKEN, SLOW, ApiStub, Fault, answer_to
from asking import GREEDY, ask
from loguru import logger

from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed, reason_of
from harness_ext.common.provenance import provenance
from harness_ext.models.answering import TooManyFailures
from harness_ext.models.api_client import asked_to_wait


@pytest.mark.parametrize(
    "fault",
    [
        *(Fault(status, times=2) for status in (408, 409, 429, 500, 502, 503, 504)),
        Fault(429, times=3, retry_after="0.05"),
        Fault(429, retry_after="Wed, 01 Jan 2020 00:00:00 GMT"),
        Fault(503, retry_after="0.05"),
        *(Fault(kind, times=2) for kind in BROKEN),
    ],
    ids=lambda fault: f"{fault.kind}{'-wait' * bool(fault.retry_after)}",
)
def test_what_passes_is_asked_again(fault):
    times = fault.times
    with ApiStub(fault) as stub:
        assert ask(model(stub, timeout=2.0 if fault.kind in SLOW else 30.0), questions()) == expected()
    assert len(stub.asked) >= len(expected()) + times


def test_a_rate_limit_costs_no_request_its_tries():
    with ApiStub(allows=2, window=0.1) as stub:
        assert ask(model(stub, concurrency=8, max_retries=2, backoff=0.1), questions(24)) == expected(24)
    assert stub.too_often > 2


@pytest.mark.parametrize("kind", [500, *BROKEN])
def test_one_that_keeps_failing_is_recorded_as_failed_after_its_tries(kind):
    with ApiStub(Fault(kind, times=ALWAYS, text="Question 7?")) as stub:
        answers = ask(model(stub, max_retries=2, timeout=2.0 if kind in SLOW else 30.0, max_failed=0.1), questions())
    assert [is_failed(answer) for answer in answers] == [at == 7 for at in range(12)]
    assert "asked 3 times" in answers[7]
    assert answers[:7] + answers[8:] == expected()[:7] + expected()[8:]


def test_more_failures_than_allowed_end_the_run_and_what_was_answered_is_kept(tmp_path):
    told = r"1 of 12 requests failed.*row 7.*the server answered 500: a 500"
    with ApiStub(Fault(500, times=ALWAYS, text="Question 7?")) as stub, pytest.raises(TooManyFailures, match=told):
        ask(model(stub, concurrency=1, answers=str(tmp_path)), questions())
    assert kept(tmp_path) == 7


@pytest.mark.parametrize(
    ("fault", "options", "message"),
    [
        (
            None,
            {"api_key_variable": "WRONG"},
            r"does not accept the key.*\(401\):\nIncorrect API key provided: Bearer \[API",
        ),
        (Fault(401, ALWAYS), {}, "wants a key: export it, and name its variable by api_key_variable"),
        (Fault(403, ALWAYS), {}, r"does not allow it \(403\):\na 403"),
        (None, {"model": "gpt-5v"}, r"does not know the model.*\(404\):\nThe model `gpt-5v` does not exist"),
        (Fault(402, ALWAYS), {}, r"wants to be paid first \(402\)"),
        (Fault(429, error={"type": "insufficient_quota", "message": "no credit"}), {}, "until the account has credit"),
        (Fault(429, ALWAYS), {"concurrency": 4}, "4 times in a row that it is asked too often"),
        (
            Fault(400, ALWAYS, error="nonsense"),
            {"max_failed": 1},
            r"refused each of the first \d requests.*\n.*nonsense",
        ),
    ],
)
def test_what_every_request_would_meet_ends_the_run_at_once(monkeypatch, fault, options, message):
    monkeypatch.setenv("WRONG", KEY)
    stub = ApiStub(*([fault] if fault else []), key="right" if "api_key_variable" in options else "")
    with stub, pytest.raises(UserError, match=message) as error:
        ask(model(stub, **options), questions(40))
    assert len(stub.asked) < 30
    assert KEY not in str(error.value)
    assert len(str(error.value).splitlines()) <= 2


def test_a_path_that_is_no_api_is_told_from_an_unknown_model():
    with ApiStub() as stub, pytest.raises(UserError, match="base_url is not where its API begins"):
        ask(model(stub, base_url=stub.url.removesuffix("/v1")), questions(3))


def test_no_server_ends_the_run_at_once():
    with ApiStub() as stub:
        url = stub.url
    with pytest.raises(UserError, match=f"no server can be reached at {url}"):
        ask(model(stub), questions(3))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"Retry-After": "Wed, 01 Jan 2020 00:00:00 GMT"}, 0),
        ({"Retry-After": formatdate(time.time() + 3600, usegmt=True)}, 3600),
        *(({"Retry-After": said}, 0) for said in ("-5", "nan", "inf", "-inf", "1e400", "9" * 400, "soon", "")),
        ({}, 0),
    ],
)
def test_how_long_a_server_asks_to_wait(headers, seconds):
    assert asked_to_wait(httpx2.Headers(headers)) == pytest.approx(seconds, abs=1800 if seconds > 60 else 1e-9)


@pytest.mark.parametrize("headers", [{"retry-after-ms": "400"}, {"Retry-After": "0.4"}])
def test_the_wait_that_is_asked_for_is_kept(headers):
    began = time.monotonic()
    with ApiStub(Fault(429, headers=headers)) as stub:
        assert ask(model(stub), questions(2)) == expected(2)
    assert time.monotonic() - began >= 0.4


def test_a_long_wait_is_announced_and_one_of_hours_ends_the_run():
    lines = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="INFO")
    faults = [Fault(429, headers={"Retry-After": wait}) for wait in ("11", "3600")]
    with ApiStub(*faults) as stub, pytest.raises(UserError, match="wait 3600 seconds"):
        ask(model(stub, concurrency=2), questions(2))
    logger.remove(sink)
    assert "asked too often: a request waits for 11 seconds" in lines


GEMINI = [
    {"error": {"code": 400, "message": 'Invalid JSON payload received. Unknown name "store": Cannot find field.'}}
]
OPENAI_TEMPERATURE = {
    "message": "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) is supported.",
    "param": "temperature",
    "code": "unsupported_value",
}
OPENAI_MAX_TOKENS = {
    "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    "param": "max_tokens",
    "code": "unsupported_parameter",
}
TRANSFORMERS_SERVE = """{"detail": "Unexpected fields in the request: {'store'}"}"""
VLLM_TOO_LONG = {
    "message": "'max_tokens' or 'max_completion_tokens' is too large: 512. The maximum context length is 256."
}


# The words of a provider that stand behind another server's.
OPENROUTER_WRAPPED = {
    "message": "Provider returned error",
    "code": 400,
    "metadata": {
        "raw": json.dumps({"error": {**OPENAI_MAX_TOKENS, "type": "invalid_request_error"}}),
        "provider_name": "X",
    },
}
EXTRA = {"type": "extra_forbidden", "msg": "Extra inputs are not permitted", "input": {"max_tokens": 12}}
FASTAPI = json.dumps({"detail": [{**EXTRA, "loc": ["body", "seed"]}]})
MISTRAL = json.dumps({"object": "error", "message": {"detail": [{**EXTRA, "loc": ["body", "store"]}]}, "code": None})
VLLM_SEED = {"object": "error", "message": str([{"type": "extra_forbidden", "loc": ("body", "seed"), **EXTRA}])}
PYDANTIC = {"message": "1 validation error for Request\nseed\n  Extra inputs are not permitted [type=extra_forbidden]"}
PYDANTIC_1 = {
    "message": "1 validation error for Request\nbody -> seed\n  extra fields not permitted (type=value_error)"
}
SERDE = {"message": "unknown field `seed`, expected one of `model`, `messages`, `max_tokens`, `temperature`"}
LEAVE_OUT = r'; extra_body={"NAME":null} leaves it out$'
SEED, STORE = (LEAVE_OUT.replace("NAME", name) for name in ("seed", "store"))


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (OPENAI_MAX_TOKENS, "set max_tokens_key=max_completion_tokens"),
        (OPENAI_TEMPERATURE, "--gen_kwargs do_sample=true,temperature=1,top_p=1"),
        (GEMINI, r'extra_body={"store":null} leaves it out'),
        (TRANSFORMERS_SERVE, r"\(400\): Unexpected fields.*; extra_body={\"store\":null}"),
        (VLLM_TOO_LONG, r"length is 256\.$"),
        (
            OPENROUTER_WRAPPED,
            r"Provider returned error; Unsupported parameter.*; set max_tokens_key=max_completion_tokens",
        ),
        (FASTAPI, r"\(400\): body.seed: Extra inputs are not permitted" + SEED),
        (MISTRAL, r"\(400\): body.store: Extra inputs are not permitted" + STORE),
        *((error, SEED) for error in (VLLM_SEED, PYDANTIC, PYDANTIC_1, SERDE)),
        ({"message": "Unrecognized request argument supplied: seed"}, SEED),
        ({"message": "Unrecognized request arguments supplied: logit_bias, seed"}, SEED),
        ({"message": "property 'store' is unsupported"}, STORE),
        ({"message": "seed is not supported by this model", "param": "seed"}, SEED),
        # What was not sent is not told how to leave out, nor what only looks like a field.
        ({"message": "Unrecognized request argument supplied: logit_bias"}, "supplied: logit_bias$"),
        ({"message": "Extra inputs are not permitted", "param": "logit_bias"}, "not permitted$"),
        ({"message": "unknown field `foo`, expected one of `model`, `seed`, `max_tokens`"}, "`max_tokens`$"),
        ({"message": "the temperature of the seed store cannot be unknown"}, "be unknown$"),
        ({"message": "The model `seed-vl` is not supported"}, "is not supported$"),
    ],
)
def test_a_field_that_a_server_refuses_is_told_with_what_to_do(error, hint):
    with ApiStub(Fault(400, ALWAYS, error=error)) as stub, pytest.raises(UserError, match=hint):
        ask(model(stub, max_failed=1), questions(), SAMPLED if "seed" in str(error) else GREEDY)


def test_the_last_words_of_a_long_error_are_told_too():
    error = {"message": f"litellm.BadRequestError: {'{echo}' * 500} This model takes no images."}
    with ApiStub(Fault(400, ALWAYS, error=error)) as stub, pytest.raises(UserError) as refused:
        ask(model(stub, max_failed=1), questions())
    told = str(refused.value)
    assert "litellm.BadRequestError" in told and told.endswith("This model takes no images.")
    assert len(told) < 700


@pytest.mark.parametrize("shift", [0, 7, 23])
@pytest.mark.parametrize("write", [str, lambda text: quote(text, safe=""), lambda text: json.dumps(text)[1:-1]])
def test_no_part_of_a_key_is_left_where_a_message_is_cut_or_a_server_cuts_it(monkeypatch, shift, write):
    key = 'sk-or-v1-5f1e/09d+27c"84b6a3e2d1c0f9e8d7c6b5a4'
    monkeypatch.setenv("STUB_KEY", key)
    # Across the places where a message is cut, whole, and cut by the server at both ends.
    shown = write(key)
    said = f"{'x ' * (140 - shift)}Bearer {shown} {'y ' * (80 + shift)}{shown}{' z' * (90 - shift)}"
    said += f" {shown[:-6]}… …{shown[6:]}"
    changed = {"model": f"stub for {key}", "system_fingerprint": f"fp_{key}"}
    with ApiStub(Fault(500, 2, error={"message": said}), changed=lambda whole: {**whole, **changed}) as stub:
        failed, answer = ask(
            model(stub, max_retries=1, max_failed=1, concurrency=1, api_key_variable="STUB_KEY"), questions(2)
        )
    assert is_failed(failed) and not is_failed(answer)
    assert "[API key]" in failed and "[API key]" in provenance()["answered_by"]
    for text in (failed, *provenance().values()):
        assert not any(write(key)[at : at + 12] in text for at in range(len(write(key)) - 11))


def test_an_answer_that_repeats_the_key_is_kept_without_it(monkeypatch):
    monkeypatch.setenv("STUB_KEY", KEY)
    with ApiStub(message=lambda asked: ({"content": f"You sent {KEY}."}, "stop")) as stub:
        assert ask(model(stub, api_key_variable="STUB_KEY"), questions(1)) == ["You sent [API key]."]


TOO_LARGE = {"message": "Request too large for stub-vlm: Limit 30000, Requested 50000.", "code": "rate_limit_exceeded"}
ECHO = {"message": "cannot read data:image/png;base64,iVBORw0KGgo=", "code": "invalid_image"}


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        (400, VLLM_TOO_LONG, "the server refused it (400): 'max_tokens' or 'max_completion_tokens' is too large"),
        (400, ECHO, "the server refused it (400): cannot read [image]"),
        (413, "", "the server refused it (413)"),
        (429, TOO_LARGE, "the server refused it (429): Request too large"),
    ],
)
def test_a_request_refused_for_itself_fails_alone(status, error, reason):
    with ApiStub(Fault(status, ALWAYS, text="Question 7?", error=error)) as stub:
        answers = ask(model(stub, max_failed=0.1), questions())
    assert answers[:7] + answers[8:] == expected()[:7] + expected()[8:]
    assert reason_of(answers[7]).startswith(reason)
    assert len(stub.asked) == 12


AZURE = {"message": "The response was filtered.", "code": "content_filter", "param": "prompt"}
OPENROUTER = {
    "message": "openai requires moderation. Your input was flagged.",
    "code": 403,
    "metadata": {"reasons": []},
}


@pytest.mark.parametrize(
    "status_and_error", [(400, AZURE), (403, OPENROUTER), (200, None)], ids=["400", "403", "finish"]
)
def test_a_content_filter_is_recorded_not_retried_and_no_fault_of_the_run(status_and_error):
    status, error = status_and_error

    def message(asked):
        filtered = status == 200 and asked.text == "Question 7?"
        return {"content": "I" if filtered else answer_to(asked)}, "content_filter" if filtered else "stop"

    faults = [] if status == 200 else [Fault(status, ALWAYS, text="Question 7?", error=error)]
    with ApiStub(*faults, message=message) as stub:
        answers = ask(model(stub, max_failed=0), questions())
    assert is_failed(answers[7]) and reason_of(answers[7]) == "content filter"
    assert answers[:7] + answers[8:] == expected()[:7] + expected()[8:]
    assert len(stub.asked) == 12
