import pytest
from api_stub import MODEL

from harness_ext.errors import UserError
from harness_ext.models.api import OPENAI, OpenAICompatible


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": ""}, "which model"),
        ({"base_url": "localhost:8000/v1"}, "base_url must be where the API begins"),
        ({"base_url": "http://localhost:8000/v1/chat/completions"}, "without /chat/completions"),
        ({"base_url": "http://localhost:8000/v1?key=sk-secret"}, "base_url must hold no user, password or query"),
        (
            {"base_url": OPENAI},
            r"in the environment variable OPENAI_API_KEY, which is not set: export OPENAI_API_KEY=…",
        ),
        ({"api_key_variable": "NOT_SET"}, "environment variable NOT_SET, which is not set"),
        ({"concurrency": 0}, "concurrency must be a number of at least 1"),
        ({"timeout": "long"}, "timeout must be a number"),
        ({"max_retries": -1}, "max_retries must be a number of at least 0"),
        ({"image_format": "gif"}, "image_format must be one of png, jpeg"),
        ({"detail": "fine"}, "detail must be one of low, high, auto"),
        ({"max_tokens_key": "tokens"}, "max_tokens_key must be one of max_tokens, max_completion_tokens"),
        ({"extra_body": "top_k=3"}, "extra_body must be JSON"),
        ({"extra_body": "[]"}, "extra_body must be a mapping"),
        ({"extra_body": '{"n": 2}'}, "extra_body may not set n"),
        ({"extra_body": '{"store": true}'}, "never stored at the provider"),
    ],
)
def test_wrong_options_are_refused(monkeypatch, options, message):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError, match=message) as error:
        OpenAICompatible(**{"model": MODEL, "base_url": "http://localhost:8000/v1", **options})
    assert "sk-secret" not in str(error.value)
