import json
import resource

import pytest
from api_asking import ALWAYS, expected, kept, model, questions
from api_stub import ANY_BODY, ENDLESS, MIB, ApiStub, Fault
from asking import ask
from loguru import logger

from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed, reason_of
from harness_ext.common.provenance import provenance
from harness_ext.models.api_http import MOST_BYTES


def most_memory() -> int:
    """The bytes that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_reply_without_an_end_is_a_failed_request_of_bounded_memory(kind):
    before = most_memory()
    with ApiStub(Fault(kind, times=ALWAYS, text="Question 7?")) as stub:
        answers = ask(model(stub, max_failed=0.1), questions())
    assert reason_of(answers[7]) == "the server sent more than 16 MiB"
    assert answers[:7] + answers[8:] == expected()[:7] + expected()[8:]
    assert len(stub.asked) == 12, "it is not sent again"
    # What the sockets of both sides hold beside it.
    assert stub.sent < MOST_BYTES + 32 * MIB
    assert most_memory() - before < 256 * MIB


def test_a_charset_that_unpacks_is_not_asked_what_to_do():
    before = most_memory()
    with ApiStub(Fault("unpacking charset", times=ALWAYS, text="Question 7?")) as stub:
        answers = ask(model(stub, max_failed=0.1, max_retries=1), questions())
    assert "not a chat completion" in answers[7] and not any(map(is_failed, answers[:7] + answers[8:]))
    assert most_memory() - before < 256 * MIB


@pytest.mark.parametrize("status", [200, 400, 429])
@pytest.mark.parametrize("body", ANY_BODY, ids=lambda body: body[:30])
def test_a_reply_of_any_form_is_a_failed_request_or_one_line(status, body):
    sent = body.encode("utf-8", "surrogateescape")
    with ApiStub(Fault(status, times=ALWAYS, text="Question 1?", error=sent)) as stub:
        asked = model(stub, max_failed=1, max_retries=1)
        if status == 429:
            with pytest.raises(UserError) as error:
                ask(asked, [questions()[1]])
            assert len(str(error.value)) < 1000 and len(str(error.value).splitlines()) <= 2
            return
        answers = ask(asked, questions(3))
    assert is_failed(answers[1]) and len(answers[1]) < 1000
    assert [answers[0], answers[2]] == [expected(3)[0], expected(3)[2]]


def test_megabytes_of_words_are_told_in_a_line_and_a_server_of_many_names_fills_no_file():
    says = Fault(400, times=ALWAYS, text="Question 1?", error={"message": "x" * 15 * MIB})
    many = iter(range(100))
    changed = {"model": lambda: f"{next(many)}-" + "m" * MIB}
    with ApiStub(says, changed=lambda whole: {**whole, **{key: make() for key, make in changed.items()}}) as stub:
        answers = ask(model(stub, max_failed=0.1), questions(30))
    assert is_failed(answers[1]) and len(answers[1]) < 1000
    assert len(provenance()["answered_by"]) < 8000 and "and others" in provenance()["answered_by"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused_and_nothing_is_sent_where_it_points(status, tmp_path):
    with ApiStub() as other:
        fault = Fault(status, text="Question 3?", headers={"Location": f"{other.url}/chat/completions"})
        with (
            ApiStub(fault) as stub,
            pytest.raises(UserError, match=rf"sends the request on \({status}\) to 'http.*base_url"),
        ):
            ask(model(stub, concurrency=1, answers=str(tmp_path)), questions())
    assert not other.asked
    assert kept(tmp_path) == 3


@pytest.mark.parametrize("place", ["", "http://[::1", "ftp://x", "//", "\x1b[2J", "http://a:b@c/", "data:,x"])
def test_a_redirect_to_nowhere_is_refused_in_one_line(place):
    with ApiStub(Fault(307, ALWAYS, headers={"Location": place})) as stub, pytest.raises(UserError) as error:
        ask(model(stub, max_retries=0, max_failed=0), questions(2))
    assert len(str(error.value).splitlines()) == 1 and "\x1b" not in str(error.value)


def test_a_long_wait_of_a_busy_server_is_announced_and_one_of_hours_ends_the_run():
    lines = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="INFO")
    faults = [Fault(503, headers={"Retry-After": wait}) for wait in ("11", "3600")]
    with ApiStub(*faults) as stub, pytest.raises(UserError, match="says 503 and asks to wait 3600 seconds"):
        ask(model(stub, concurrency=2), questions(2))
    logger.remove(sink)
    assert "the server says 503: a request waits for 11 seconds" in lines


def test_a_refusal_that_asks_to_wait_is_no_wait():
    refusal = Fault(400, ALWAYS, text="Question 1?", headers={"Retry-After": "3600", "x-should-retry": "true"})
    with ApiStub(refusal) as stub:
        answers = ask(model(stub, max_failed=0.5), questions(3))
    assert reason_of(answers[1]) == "the server refused it (400): a 400"
    assert len(stub.asked) == 3


def test_a_header_that_is_no_ascii_is_no_matter():
    with ApiStub(Fault(503, headers={"Retry-After": "²", "X-Model": "é"})) as stub:
        assert ask(model(stub), questions(3)) == expected(3)


def test_a_reply_is_json_whatever_it_says_it_is():
    """By a stub that sends UTF-8 as Latin-1."""
    words = json.dumps({"error": {"message": "zu groß"}}, ensure_ascii=False).encode()
    fault = Fault(400, ALWAYS, text="Question 1?", error=words, headers={"Content-Type": "text/plain; charset=latin-1"})
    with ApiStub(fault) as stub:
        assert "zu groß" in ask(model(stub, max_failed=0.5), questions(3))[1]
