from hypothesis import given
from hypothesis import strategies as st
from lmms_eval.api.reasoning import strip_reasoning_tags

from harness_ext.common.failures import from_outside, is_failed, is_failed_here, mark_failed


@given(st.text())
def test_a_marked_failure_is_recognised_as_the_harness_hands_it_on(reason):
    # lmms-eval strips every response before it is scored.
    assert is_failed(mark_failed(reason))
    assert is_failed(mark_failed(reason).strip())
    assert is_failed("  " + mark_failed(reason))


@given(st.text(), st.sampled_from(["", "<think>", "</think>", "<think>a</think>", "<analysis>a</analysis>"]), st.text())
def test_a_marked_failure_stays_one_where_lmms_eval_strips_reasoning_tags(before, tag, after):
    stripped = strip_reasoning_tags(
        mark_failed(f"{before}{tag}{after}"), [["<think>", "</think>"], ["<analysis>", "</analysis>"]]
    )
    assert is_failed_here(stripped)


@given(st.text())
def test_an_answer_is_not_a_failure(answer):
    assert not is_failed(answer)


# Every code point, halves of surrogate pairs too.
ANYTHING = st.text(st.characters(exclude_categories=()))


@given(ANYTHING, ANYTHING, ANYTHING)
def test_what_comes_from_outside_is_no_failure_whatever_is_taken_away_before_it_and_can_be_written(
    before, reason, after
):
    mark = mark_failed("").strip()
    text = from_outside(f"{before}{mark}{reason}{after}")
    assert not any(is_failed(text[at:]) for at in range(len(text)))
    assert not is_failed(from_outside(mark[:5] + before + mark[5:]).replace(before, ""))
    assert text.encode().decode() == from_outside(text) == text
    mark_failed(reason).encode()


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\u27e6\u27e7")))
def test_any_other_text_stays_as_it_is(text):
    assert from_outside(text) == text


def test_how_what_cannot_stay_is_written():
    assert from_outside("Yes \ud83d, \u27e6x\u27e7 \U0001f600") == "Yes \\ud83d, [[x]] \U0001f600"
