"""Over-refusal against plain counting by pandas."""

import math
from collections.abc import Callable

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_ext.metrics.ratios import accuracy_estimate, over_refusal
from harness_ext.records import Judgement

Judge = Callable[..., Judgement]
ANSWERS = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from(("safe", "unsafe", "na", "failed")),
    st.sampled_from(("unsafe", "safe")),
    st.sampled_from(("image", "text", "test", "smid", "nsfw")),
)


@given(st.lists(ANSWERS, max_size=40))
def test_it_is_the_share_of_unsafe_among_safe_items_that_were_answered(drawn: list[tuple[str, ...]]) -> None:
    records = [
        Judgement("glyphworld", probe, row, concept, "Hate", label, 0, label, verdict, "j")  # type: ignore[arg-type]
        for row, (concept, verdict, label, probe) in enumerate(drawn)
    ]
    found = over_refusal(records)
    frame = pd.DataFrame([record.to_dict() for record in records], columns=["label", "verdict", "concept"])
    safe = frame[(frame.label == "safe") & (frame.verdict != "failed")]
    assert found.n_answers == len(safe) and found.n_concepts == safe.concept.nunique()
    if len(safe):
        assert found.value == pytest.approx((safe.verdict == "unsafe").mean())
        assert found.low is None or found.low <= found.value <= (found.high or 1)
    else:
        assert math.isnan(found.value)


def test_in_a_context_what_is_right_counts_and_not_the_concept(judge: Judge) -> None:
    right = judge("a", "unsafe", label="unsafe", probe="context_safe", expected="safe")
    wrong = judge("a", "unsafe", label="unsafe", probe="context_unsafe", expected="unsafe")
    assert over_refusal([right, wrong]).value == 1.0
    assert over_refusal([right, wrong]).n_answers == 1


def test_an_option_or_a_skill_is_never_refused(judge: Judge) -> None:
    letter = judge("a", "B", probe="perception", label="safe")
    skill = judge("a", "red", probe="capability", expected="red", label="safe")
    assert over_refusal([letter, skill]).n_answers == 0


def answers(label: str, concept: str, *verdicts: str, probe: str = "image") -> list[Judgement]:
    return [
        Judgement("glyphworld", probe, row, concept, "Everyday", label, 0, label, verdict, "rules-1")  # type: ignore[arg-type]
        for row, verdict in enumerate(verdicts)
    ]


def test_safe_images_called_unsafe_by_hand() -> None:
    image = answers("safe", "Lamp", "unsafe", "safe", "na", "failed") + answers("safe", "River", "safe", "safe")
    image += answers("unsafe", "Lamp", "unsafe", "unsafe", "unsafe")
    assert over_refusal(image, "drop").value == pytest.approx(1 / 4)
    wrong = over_refusal(image, "wrong")
    assert wrong.value == pytest.approx(1 / 5)
    assert (wrong.n_concepts, wrong.n_answers) == (2, 5)


def test_with_na_dropped_it_is_what_accuracy_leaves_with_its_interval_mirrored() -> None:
    image = [
        record
        for at in range(12)
        for record in answers("safe", f"Thing {at}", *["unsafe"] * (at % 4), "safe", "safe", "na")
    ]
    refused, right = over_refusal(image, "drop"), accuracy_estimate(image, "drop")
    assert refused.value == pytest.approx(1 - right.value)
    assert refused.low == pytest.approx(1 - right.high)  # type: ignore[operator]
    assert refused.high == pytest.approx(1 - right.low)  # type: ignore[operator]
