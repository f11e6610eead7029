from hypothesis import given
from hypothesis import strategies as st

from harness_ext.failures import is_failed, mark_failed


@given(st.text())
def test_a_marked_failure_is_recognised_as_the_harness_hands_it_on(reason):
    # lmms-eval strips every response before it is scored.
    assert is_failed(mark_failed(reason))
    assert is_failed(mark_failed(reason).strip())
    assert is_failed("  " + mark_failed(reason))


@given(st.text())
def test_an_answer_is_not_a_failure(answer):
    assert not is_failed(answer)
