"""The verdicts on a row: no difference beside an interval that holds 0, and a mirror counts for nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness_ext.metrics.units import pair_scores
from harness_ext.report.compare.measures import MARGIN, TEXT_MARGIN, Comparison, Measure, Model, Pair, rows
from harness_ext.report.compare.tables import blocks

CONCEPTS = 12


def measure(title: str, changed: list[int], refusal: bool = False, **rest: object) -> Measure:
    """Ten answers about each concept, all right before but for half; ``changed`` of them turn wrong (below 0) or right."""
    before = [at % 2 == 0 for _ in range(CONCEPTS) for at in range(10)]
    after = [
        (at % 2 == 0 and at // 2 >= -count) or (at % 2 == 1 and at // 2 < count)
        for count in changed
        for at in range(10)
    ]
    concepts = list(np.repeat(np.arange(CONCEPTS), 10))
    if refusal:
        before, after = ([not each for each in side] for side in (before, after))
    scores = pair_scores(concepts, before, after)
    size = "concept", len(before)
    return Measure("judged", "task", title, "acc", not refusal, *size, scores, (before, after), **rest)  # type: ignore[arg-type]


changes = st.lists(st.integers(-5, 5), min_size=CONCEPTS, max_size=CONCEPTS)


@settings(max_examples=40, deadline=None)
@given(st.lists(changes, min_size=1, max_size=3))
def test_a_difference_leaves_out_0_and_a_mirror_changes_nothing(changed: list[list[int]]) -> None:
    plain = [measure(f"{at}", each) for at, each in enumerate(changed)]
    mirrored = [*plain, measure("mirror", changed[0], refusal=True, derived_from=("0",))]
    found = rows(mirrored, None, 0)
    for row in found:
        assert row.low is not None and row.high is not None and row.low <= row.change <= row.high
        if row.difference != "not shown":
            assert not row.low <= 0 <= row.high
            assert (row.difference == "better") == ((row.change > 0) == row.higher_is_better)
        if row.retention == "degraded":
            assert row.difference != "better"
    assert found[:-1] == rows(plain, None, 0)
    assert (found[-1].difference, found[-1].retention) == (found[0].difference, found[0].retention)


def test_each_row_has_its_own_margin_unless_one_is_given() -> None:
    both = [measure("image", [0] * CONCEPTS, margin=MARGIN), measure("text", [0] * CONCEPTS, margin=TEXT_MARGIN)]
    none = measure("gap", [0] * CONCEPTS, margin=None)
    assert [row.margin for row in rows([*both, none], None, 0)] == [0.03, 0.05, None]
    assert [row.margin for row in rows([*both, none], 0.5, 0)] == [0.5, 0.5, None]
    assert [row.retention for row in rows([*both, none], 0.5, 0)] == ["retained", "retained", None]


def test_holm_counts_the_rows_that_are_not_derived() -> None:
    lost = [-5] * 8 + [0] * 4
    alone = rows([measure("a", lost)], None, 0)[0]
    (first, second, derived) = rows(
        [measure("a", lost), measure("b", [0] * CONCEPTS), measure("both", lost, derived_from=("a", "b"))], None, 0
    )
    assert alone.p == alone.p_holm and first.p_holm == pytest.approx(2 * alone.p)
    assert derived.p_holm == pytest.approx(first.p_holm) and second.p_holm == 1
    assert derived.derived_from == "a; b"


def test_the_table_says_why_a_row_has_no_interval() -> None:
    said = []
    for tasks in ("abab", "aaaaab"):
        count = len(tasks)
        paired = pair_scores(range(count), [1.0] * count, [1.0] * count, list(tasks))
        found = rows([Measure("benchmark", "group", "group", "acc", True, "sample", count, paired)], None, 0)
        assert (found[0].low, found[0].retention) == (None, "undecided")
        model = Model("runs", "model", (), {})
        pair = Pair(model, found, ())
        table = blocks(Comparison(model, (pair,), None, None, 0), pair)[0]
        said += [note for note in table.notes if note.startswith("No interval")]
    assert said == [
        "No interval, and no verdict: fewer than five samples.",
        "No interval, and no verdict: a task or a category of a single sample.",
    ]
