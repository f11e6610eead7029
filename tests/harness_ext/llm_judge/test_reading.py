"""Only what was asked for is a verdict."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_ext.llm_judge.reading import UnreadableError, read_verdict, schema

LABELS = ("safe", "unsafe", "na")


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("form", ['{{"verdict": "{}"}}', ' {{"verdict":"{}"}}\n', '```json\n{{"verdict": "{}"}}\n```'])
def test_a_reply_as_asked_for_is_read(label, form):
    assert read_verdict(form.format(label), LABELS) == label


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "safe",
        '"safe"',
        '{"verdict": "Safe"}',
        '{"verdict": "A"}',
        '{"verdict": "failed"}',
        '{"verdict": null}',
        '{"verdict": ["safe"]}',
        '{"verdict": "safe", "why": "it says yes"}',
        '{"verdict": "safe", "verdict": "unsafe"}',
        '{"verdict": "safe"} {"verdict": "unsafe"}',
        'The verdict is {"verdict": "safe"}',
        '<think>It says yes.</think>\n{"verdict": "safe"}',
        '{"verdict": "sa',
        '{"Verdict": "safe"}',
        '[{"verdict": "safe"}]',
        "[" * 100_000,
        '{"verdict": "\ud800"}',
    ],
    ids=lambda reply: reply[:30].encode("ascii", "backslashreplace").decode(),
)
def test_anything_else_is_no_verdict(reply):
    with pytest.raises(UnreadableError):
        read_verdict(reply, LABELS)


@given(st.text(max_size=30))
def test_no_text_is_read_as_a_label_that_was_not_asked_for(text):
    try:
        assert read_verdict(text, ("A", "na")) in ("A", "na")
    except UnreadableError as error:
        assert len(str(error).splitlines()) == 1


def test_the_schema_allows_the_labels_alone():
    assert schema(("A", "na"))["properties"] == {"verdict": {"type": "string", "enum": ["A", "na"]}}
    assert schema(LABELS)["additionalProperties"] is False
