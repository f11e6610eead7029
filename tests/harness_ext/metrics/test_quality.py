"""Ratings and what answers are like, held to sklearn's weighted kappa and to figures made by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from harness_ext.metrics.quality import distinct_share, likeness, mean_rating, weighted_kappa

CONCEPTS = [("unsafe", name) for name in "abcdefgh"]
GRADES = st.integers(1, 5)
PAIRS = st.lists(st.tuples(st.sampled_from(CONCEPTS), GRADES, GRADES), min_size=2, max_size=30)


@given(PAIRS)
def test_weighted_kappa_is_that_of_sklearn_and_its_interval_holds_it(pairs):
    ours, theirs = [one for _, one, _ in pairs], [other for _, _, other in pairs]
    found = weighted_kappa(pairs)
    if len({*ours, *theirs}) == 1:
        assert math.isnan(found.value) and found.low is None
        return
    assert found.value == pytest.approx(cohen_kappa_score(ours, theirs, weights="quadratic", labels=range(1, 6)))
    assert (found.n_concepts, found.n_answers) == (len({concept for concept, _, _ in pairs}), len(pairs))
    if found.low is not None and found.high is not None:
        assert -1 <= found.low <= found.high <= 1


@given(PAIRS)
def test_kappa_is_the_same_in_any_order_and_with_the_raters_changed(pairs):
    found = weighted_kappa(pairs)
    assert repr(weighted_kappa(pairs[::-1])) == repr(found)
    assert weighted_kappa([(concept, b, a) for concept, a, b in pairs]).value == pytest.approx(found.value, nan_ok=True)
    # The scale of grades may be turned or moved.
    turned = weighted_kappa([(concept, 6 - a, 6 - b) for concept, a, b in pairs])
    assert turned.value == pytest.approx(found.value, nan_ok=True)


def test_raters_who_agree_on_everything_have_kappa_1_and_still_an_interval_of_some_width():
    found = weighted_kappa([(concept, grade, grade) for grade, concept in enumerate(CONCEPTS[:5], start=1)])
    assert found.value == 1
    assert found.low is not None and found.low < 1 and found.high == 1
    assert weighted_kappa([]).n_answers == 0


@given(st.lists(st.tuples(st.sampled_from(CONCEPTS), GRADES), min_size=1, max_size=40))
def test_a_mean_rating_is_the_mean_and_its_interval_stays_between_1_and_5(ratings):
    found = mean_rating(ratings)
    assert found.value == pytest.approx(sum(grade for _, grade in ratings) / len(ratings))
    assert found.n_answers == len(ratings)
    if found.low is not None and found.high is not None:
        assert 1 <= found.low <= found.value + 1e-9 and found.value - 1e-9 <= found.high <= 5


def test_no_ratings_have_no_mean():
    assert math.isnan(mean_rating([]).value)


def test_what_answers_are_like():
    said = [
        (CONCEPTS[0], "It shows a."),
        (CONCEPTS[0], "It  shows\na. "),
        (CONCEPTS[1], "Nothing at all here."),
        (CONCEPTS[2], ""),
    ]
    found = likeness(said, lambda text, concept: concept in text.split(".")[0].split())
    assert found.distinct == 3 / 4
    assert found.names is not None and found.names.value == 2 / 4
    assert (found.words, found.answers) == (10 / 4, 4)
    assert likeness(said, None).names is None
    assert distinct_share(["a", "a", "a"]) == 1 / 3
