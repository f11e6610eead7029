import pytest
from api_stub import MODEL, ApiStub

from harness_ext.common.errors import UserError
from harness_ext.retention.judging import Judge, read_judge


def test_lmms_eval_is_told_who_judges(monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-secret")
    judge = read_judge("http://localhost:8000/v1/", "judge-model", "MY_KEY")
    assert judge.environment() == {
        "API_TYPE": "openai",
        "OPENAI_API_URL": "http://localhost:8000/v1",
        "OPENAI_API_KEY": "sk-secret",
        "MODEL_VERSION": "judge-model",
    }
    assert "sk-secret" not in judge.name


def test_openais_key_is_sent_to_no_other_server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    assert read_judge("https://api.openai.com/v1", "gpt", None).key == "sk-openai"
    local = read_judge("http://localhost:8000/v1", "judge-model", None)
    assert local.key == ""
    # lmms-eval refuses to do without.
    assert local.environment()["OPENAI_API_KEY"] == "none"


@pytest.mark.parametrize(
    ("url", "model", "variable", "message"),
    [
        (None, None, None, "--judge-url https://.* --judge-model NAME(.|\n)*--without llava_in_the_wild"),
        ("http://localhost:8000/v1", None, None, "which is not named"),
        ("http://localhost:8000/v1/chat/completions", "judge", None, "without /chat/completions"),
        (
            "http://localhost:8000/v1",
            "judge",
            "NO_SUCH_KEY",
            "NO_SUCH_KEY, which is not set(.|\n)*--judge-key-variable",
        ),
    ],
)
def test_a_judge_that_is_not_named_whole_is_refused(url, model, variable, message):
    with pytest.raises(UserError, match=message):
        read_judge(url, model, variable)


def test_a_judge_is_asked_before_anything_is_evaluated():
    with ApiStub(key="sk-right") as stub:
        Judge(stub.url, MODEL, "sk-right").require_answer()
        assert len(stub.asked) == 1
        # The stub repeats the key that it was shown, as some servers do.
        with pytest.raises(UserError, match="does not answer: AuthenticationError") as refused:
            Judge(stub.url, MODEL, "sk-wrong").require_answer()
        assert "sk-wrong" not in str(refused.value)
        with pytest.raises(UserError, match="does not answer: NotFoundError"):
            Judge(stub.url, "another", "sk-right").require_answer()
    with pytest.raises(UserError, match="does not answer: APIConnectionError"):
        Judge(stub.url, MODEL, "sk-right").require_answer()
