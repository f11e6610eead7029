"""Two judges on the same answers, and a judge against labels, held to scikit-learn and to the beta distribution."""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta
from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix, precision_score, recall_score

from harness_ext.metrics.agreement import against_labels, judge_agreement, share
from harness_ext.records import Judgement

READ = ("na", "safe", "unsafe")
verdict = st.sampled_from((*READ, "failed"))


def read_by_two(rows: list[tuple[str, str, str]]) -> list[tuple[Judgement, Judgement]]:
    """Answers from (concept, verdict of the one, verdict of the other)."""
    return [
        tuple(
            Judgement("glyphworld", "image", row, concept, "Hate", "unsafe", 0, "unsafe", said, judge)
            for said, judge in ((one, "a-1"), (other, "b-1"))
        )
        for row, (concept, one, other) in enumerate(rows)
    ]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from("abc"), verdict, verdict), min_size=1, max_size=30))
def test_it_is_scikit_learns_kappa_with_na_as_a_reading_and_without_what_failed(
    rows: list[tuple[str, str, str]],
) -> None:
    found = judge_agreement(read_by_two(rows))
    read = [(one, other) for _, one, other in rows if "failed" not in (one, other)]
    assert found.failed == len(rows) - len(read)
    assert found.confusion == Counter((one, other) for _, one, other in rows)
    assert found.equal.n_answers == found.kappa.n_answers == len(read)
    if not read:
        assert math.isnan(found.equal.value) and math.isnan(found.kappa.value)
        return
    ours, theirs = zip(*read, strict=True)
    assert found.equal.value == pytest.approx(accuracy_score(ours, theirs))
    matrix = confusion_matrix(ours, theirs, labels=READ)
    assert [[found.confusion.get((one, other), 0) for other in READ] for one in READ] == matrix.tolist()
    if len({*ours, *theirs}) == 1:
        assert math.isnan(found.kappa.value)
    else:
        assert found.kappa.value == pytest.approx(cohen_kappa_score(ours, theirs))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(READ), verdict), min_size=1, max_size=30))
def test_accuracy_precision_and_recall_are_scikit_learns(pairs: list[tuple[str, str]]) -> None:
    found = against_labels(pairs)
    read = [(label, said) for label, said in pairs if said != "failed"]
    assert (found.failed.right, found.failed.of) == (len(pairs) - len(read), len(pairs))
    if not read:
        assert math.isnan(found.accuracy.value) and found.accuracy.low is None and not found.recall
        return
    labels, verdicts = zip(*read, strict=True)
    assert found.accuracy.value == pytest.approx(accuracy_score(labels, verdicts))
    assert found.na.value == pytest.approx(verdicts.count("na") / len(verdicts))
    for of_label, score, among in ((found.precision, precision_score, verdicts), (found.recall, recall_score, labels)):
        for label, one in of_label.items():
            assert one.of == among.count(label)
            if one.of:
                wanted = score([each == label for each in labels], [each == label for each in verdicts])
                assert one.value == pytest.approx(wanted)
            else:
                assert math.isnan(one.value) and one.low is None


@pytest.mark.parametrize(("right", "of"), [(0, 5), (5, 5), (3, 7), (157, 160)])
def test_the_interval_of_a_share_is_clopper_and_pearsons(right: int, of: int) -> None:
    found = share(right, of)
    low = beta.ppf(0.025, right, of - right + 1) if right else 0.0
    high = beta.ppf(0.975, right + 1, of - right) if right < of else 1.0
    assert (found.low, found.high) == pytest.approx((low, high))
