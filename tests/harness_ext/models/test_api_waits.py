import time
from email.utils import formatdate

import httpx2
import openai
import pytest
from api_asking import expected, model, questions
from api_stub import ApiStub, Fault
from asking import ask
from hypothesis import given
from hypothesis import strategies as st

from harness_ext.models.api_pace import LONGEST_WAIT
from harness_ext.models.api_waits import seconds_to_wait


def refusal(headers=None, body=None, status=429):
    """A server's answer, as openai's client raises it."""
    response = httpx2.Response(status, headers=headers, json=body, request=httpx2.Request("POST", "http://localhost"))
    return openai.APIStatusError("refused", response=response, body=body)


IN_A_MINUTE = time.time() + 60


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"retry-after-ms": "soon", "Retry-After": "1"}, 1),
        ({"Retry-After": "34s"}, 34),
        ({"Retry-After": "Wed, 01 Jan 2020 00:00:00 GMT"}, 0),
        ({"Retry-After": "-5"}, 0),
        *(({"Retry-After": said}, None) for said in ("nan", "inf", "-inf", "1e400", "9" * 400, "soon", "")),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, None),
        # A limit that is over at one time, and then for all.
        ({"x-ratelimit-reset": "12"}, 12),
        ({"RateLimit-Reset": "12"}, 12),
        ({"x-ratelimit-reset": "3600", "Retry-After": "2"}, 2),
        # Limits that fill up by and by.
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "20ms"}, 1),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s"}, LONGEST_WAIT),
        ({"x-ratelimit-reset-requests": "8h0m1.5s", "x-ratelimit-remaining-requests": "9000",
          "x-ratelimit-reset-tokens": "7.66s", "x-ratelimit-remaining-tokens": "0"}, 7.66),
        ({"x-ratelimit-reset-requests": "nan", "x-ratelimit-reset-tokens": "2s"}, 2),
        ({"x-ratelimit-limit-requests": "60"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_how_long_a_server_asks_to_wait(headers, seconds):
    assert seconds_to_wait(refusal(headers)) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Retry-After": formatdate(IN_A_MINUTE + 3600, usegmt=True)}, None),
        ({"x-ratelimit-reset": f"{IN_A_MINUTE + 3600:.0f}"}, None),
        ({"x-ratelimit-reset": f"{1000 * (IN_A_MINUTE + 3600):.0f}"}, None),
        # OpenRouter's, which passes on a provider's headers, and Google's.
        ({}, {"metadata": {"headers": {"X-RateLimit-Reset": f"{1000 * (IN_A_MINUTE + 3600):.0f}"}}}),
        ({}, [{"error": {"details": [{"@type": "…RetryInfo", "retryDelay": "3660s"}]}}]),
    ],
)
def test_a_time_on_the_clock_is_a_wait_until_then(headers, body):
    wait = seconds_to_wait(refusal(headers, body))
    assert wait is not None and 3660 - 1800 < wait <= 3661


def test_the_limits_of_a_rate_do_not_hold_up_what_failed_for_another_reason():
    assert seconds_to_wait(refusal({"x-ratelimit-reset-tokens": "6m0s"}, status=500)) is None
    assert seconds_to_wait(refusal({"retry-after-ms": "20"}, status=503)) == pytest.approx(0.02)


NAMES = (
    "retry-after",
    "retry-after-ms",
    "x-ratelimit-reset",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-remaining-tokens",
)
VALUES = st.one_of(
    st.floats().map(str),
    st.integers(-(10**30), 10**30).map(str),
    st.from_regex(r"([0-9]{1,30}(\.[0-9]+)?(ms|s|m|h|d)){1,3}", fullmatch=True),
    st.datetimes().map(str),
    st.text(st.characters(min_codepoint=32, max_codepoint=126)),
)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES), st.sampled_from([429, 503]))
def test_whatever_a_server_says_is_a_wait_of_at_most_a_year_or_none(headers, status):
    wait = seconds_to_wait(refusal(headers, status=status))
    assert wait is None or 0 <= wait <= 366 * 86400


def test_the_wait_that_is_asked_for_in_milliseconds_is_kept():
    began = time.monotonic()
    with ApiStub(Fault(429, headers={"retry-after-ms": "400"})) as stub:
        assert ask(model(stub), questions(2)) == expected(2)
    assert time.monotonic() - began >= 0.4
