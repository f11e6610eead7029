import pytest
from api_stub import MODEL

from harness_ext.common.errors import UserError
from harness_ext.models.api import OpenAICompatible
from harness_ext.models.api_options import OPENAI, read_key


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": ""}, "which model"),
        ({"base_url": "localhost:8000/v1"}, "base_url must be where the API begins"),
        ({"base_url": "http://localhost:8000/v1/chat/completions"}, "without /chat/completions"),
        ({"base_url": "http://localhost:8000/v1?key=sk-secret"}, "base_url must hold no user, password or query"),
        ({"base_url": "http://user:sk-secret@localhost:port/v1"}, "base_url must hold no user, password or query"),
        *(
            ({"base_url": f"http://{place}/v1"}, "base_url must be where the API begins")
            for place in (
                "[::1",
                "[v1.x]",
                "h:99999",
                "h:0",
                "h:x",
                "a..b",
                "a\nb",
                "a\x1b[1m",
                "a" * 70000,
                "ü" * 99,
                "\ud800",
            )
        ),
        (
            {"base_url": OPENAI},
            r"in the environment variable OPENAI_API_KEY, which is not set: export OPENAI_API_KEY=…",
        ),
        ({"api_key_variable": "NOT_SET"}, "environment variable NOT_SET, which is not set"),
        ({"concurrency": 0}, "concurrency: Input should be greater than or equal to 1, found 0"),
        ({"timeout": "long"}, "timeout: Input should be a valid number, found 'long'"),
        ({"max_retries": -1}, "max_retries: Input should be greater than or equal to 0, found -1"),
        ({"image_format": "gif"}, "image_format: Input should be 'png' or 'jpeg', found 'gif'"),
        ({"detail": "fine"}, "detail: Input should be 'low', 'high' or 'auto'"),
        ({"max_tokens_key": "tokens"}, "max_tokens_key: Input should be 'max_tokens' or 'max_completion_tokens'"),
        ({"extra_body": "top_k=3"}, "extra_body must be JSON"),
        ({"extra_body": "[]"}, "extra_body must be a mapping"),
        ({"extra_body": '{"n": 2}'}, "extra_body may not set n"),
        ({"extra_body": '{"store": true}'}, "never stored at the provider"),
        ({"extra_body": '{"chat_template_kwargs": [1]}'}, "chat_template_kwargs must be a mapping"),
    ],
)
def test_wrong_options_are_refused(monkeypatch, options, message):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError, match=message) as error:
        OpenAICompatible(**{"model": MODEL, "base_url": "http://localhost:8000/v1", **options})
    assert "sk-secret" not in str(error.value)
    assert len(str(error.value)) < 400 and "\x1b" not in str(error.value)


@pytest.mark.parametrize(
    "base_url",
    ["http://api.openai.com/v1", "http://openrouter.ai/api/v1", "http://8.8.8.8/v1", "http://llm.example.org:80"],
)
def test_a_key_is_not_sent_across_the_internet_as_plain_text(monkeypatch, base_url):
    monkeypatch.setenv("A_KEY", "sk-secret")
    with pytest.raises(UserError, match="write https:// in base_url") as error:
        read_key(base_url, "A_KEY")
    assert "sk-secret" not in str(error.value)
    assert read_key(base_url, None) == ""
    assert read_key(base_url.replace("http:", "https:"), "A_KEY") == "sk-secret"


@pytest.mark.parametrize(
    ("base_url", "warned"),
    [
        ("http://localhost/v1", False),
        ("http://[::1]:8000/v1", False),
        ("http://gpu-node:8000/v1", False),
        ("http://10.1.2.3/v1", False),
        ("http://100.64.0.7/v1", False),
        ("http://llm.internal/v1", False),
        ("http://vllm.models.svc.cluster.local/v1", False),
        ("http://gpu7.example.edu:8000/v1", True),
        ("http://8.8.8.8:8000/v1", True),
    ],
)
def test_a_server_of_ones_own_is_sent_its_key_by_http(monkeypatch, told, base_url, warned):
    monkeypatch.setenv("A_KEY", "sk-secret")
    assert read_key(base_url, "A_KEY") == "sk-secret"
    assert [f"the key goes to {base_url} as plain text" in line for line in told] == [True] * warned


@pytest.mark.parametrize("key", ["sk-abc\u2026", "sk-abc def", "sk-abc\ndef"])
def test_a_key_that_no_header_can_hold_is_refused_without_being_shown(monkeypatch, key):
    monkeypatch.setenv("A_KEY", key)
    with pytest.raises(UserError, match="variable A_KEY holds a space, or is not ASCII") as error:
        read_key("http://localhost:8000/v1", "A_KEY")
    assert "abc" not in str(error.value)
