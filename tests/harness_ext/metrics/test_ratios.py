"""Accuracy and rates against pandas and plain counting."""

import math
import random
from collections.abc import Callable

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_ext.metrics.ratios import (
    NaConvention,
    accuracy,
    accuracy_by_concept,
    accuracy_estimate,
    failed_rate,
    na_rate,
)
from harness_ext.metrics.units import Ratio, by_label
from harness_ext.records import Judgement

VERDICTS = ("safe", "unsafe", "na", "failed")


@st.composite
def answers(draw: st.DrawFn, min_size: int = 0) -> list[Judgement]:
    drawn = draw(
        st.lists(
            st.tuples(st.sampled_from("abcd"), st.sampled_from(VERDICTS), st.sampled_from(("unsafe", "safe"))),
            min_size=min_size,
            max_size=40,
        )
    )
    return [
        Judgement(
            "glyphworld", "image", row, concept, "Hate" if concept < "c" else "Violence", label, 0, label, verdict, "j"
        )
        for row, (concept, verdict, label) in enumerate(drawn)
    ]


def frame(records: list[Judgement]) -> pd.DataFrame:
    return pd.DataFrame([record.to_dict() for record in records])


def counted(records: list[Judgement], na: NaConvention) -> Ratio:
    """Right answers and answers that count."""
    ratios = accuracy_by_concept(records, na).values()
    return Ratio(sum(each.numerator for each in ratios), sum(each.denominator for each in ratios))


def same(left: float, right: float) -> bool:
    return left == pytest.approx(right, nan_ok=True)


@given(answers(min_size=1))
def test_both_conventions_and_rates_agree_with_pandas(records: list[Judgement]) -> None:
    table = frame(records)
    answered = table[table.verdict != "failed"]
    dropped = answered[answered.verdict != "na"]
    assert same(accuracy(records, "drop"), (dropped.verdict == dropped.expected).mean())
    assert same(accuracy(records, "wrong"), (answered.verdict == answered.expected).mean())
    assert same(na_rate(records), (answered.verdict == "na").mean())
    assert same(failed_rate(records), (table.verdict == "failed").mean())


@given(answers(min_size=1))
def test_groups_agree_with_pandas(records: list[Judgement]) -> None:
    table = frame(records)
    table["right"] = table.verdict == table.expected
    answered = table[table.verdict != "failed"]
    groups = by_label(records)
    assert list(groups) == list(table.label.unique())
    expected = answered.groupby("label").right.mean().to_dict()
    for label, group in groups.items():
        assert same(accuracy(group, "wrong"), expected.get(label, math.nan))
    counts = answered.groupby(["label", "concept"]).right.agg(["sum", "count"])
    assert {key: (c.numerator, c.denominator) for key, c in accuracy_by_concept(records, "wrong").items()} == {
        key: (row["sum"], row["count"]) for key, row in counts.iterrows()
    }


@given(answers(), st.randoms(use_true_random=False))
def test_the_order_of_answers_does_not_matter(records: list[Judgement], rng: random.Random) -> None:
    shuffled = rng.sample(records, len(records))
    assert accuracy_by_concept(shuffled, "drop") == accuracy_by_concept(records, "drop")
    assert repr(accuracy_estimate(shuffled, "wrong")) == repr(accuracy_estimate(records, "wrong"))


@given(answers())
def test_na_counted_as_wrong_never_raises_accuracy(records: list[Judgement]) -> None:
    drop, wrong = counted(records, "drop"), counted(records, "wrong")
    assert drop.numerator == wrong.numerator
    assert wrong.denominator >= drop.denominator
    if drop.denominator:
        assert wrong.value <= drop.value


@given(answers(), st.integers(0, 9))
def test_failed_requests_change_no_accuracy(records: list[Judgement], failures: int) -> None:
    failed = [
        Judgement("glyphworld", "image", i, "a", "Hate", "unsafe", 0, "unsafe", "failed", "j") for i in range(failures)
    ]
    for na in ("drop", "wrong"):
        assert accuracy_by_concept(records + failed, na) == accuracy_by_concept(records, na)  # type: ignore[arg-type]
    assert same(na_rate(records + failed), na_rate(records))


def test_a_label_without_answers_is_absent_and_an_empty_accuracy_is_no_zero(judge: Callable[..., Judgement]) -> None:
    records = [judge("a", "unsafe"), judge("b", "failed")]
    groups = by_label(records)
    assert set(groups) == {"unsafe"}
    assert math.isnan(accuracy(records[1:], "wrong"))
    assert accuracy(records, "wrong") == 1.0
    assert math.isnan(accuracy([], "drop")) and math.isnan(na_rate([])) and math.isnan(failed_rate([]))
    assert math.isnan(accuracy_estimate([], "drop").value)


def test_a_safe_and_an_unsafe_concept_of_one_name_stay_two(judge: Callable[..., Judgement]) -> None:
    records = [judge("Knife", "unsafe"), judge("Knife", "unsafe", label="safe")]
    assert accuracy_by_concept(records, "drop") == {("safe", "Knife"): Ratio(0, 1), ("unsafe", "Knife"): Ratio(1, 1)}


def test_an_unknown_convention_is_refused() -> None:
    with pytest.raises(ValueError, match="'drop' or 'wrong', found 'ignore'"):
        accuracy([], "ignore")  # type: ignore[arg-type]
