"""The area under the ROC curve against scikit-learn, and the law of its interval."""

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from likelihoods import alignment_answers, by_likelihood, unsafe_with
from sklearn.metrics import roc_auc_score

from harness_ext.metrics.likelihood import auroc, chance_of_unsafe
from harness_ext.probes.metrics import auroc as harness_auroc
from harness_ext.probes.metrics import per_answer_metrics
from harness_ext.records import Judgement


def chances(records: list[Judgement]) -> tuple[list[bool], list[float]]:
    scored = [record for record in records if record.scores is not None]
    return [record.label == "unsafe" for record in scored], [chance_of_unsafe(record.scores) for record in scored]  # type: ignore[arg-type]


@settings(max_examples=50)
@given(alignment_answers())
def test_it_is_scikit_learns(records: list[Judgement]) -> None:
    labels, scores = chances(records)
    estimate = auroc(records)
    pairs = [metrics["auroc"] for record in records if "auroc" in (metrics := per_answer_metrics(record))]
    assert estimate.n_answers == len(labels) == len(pairs)
    if len(set(labels)) < 2:
        assert math.isnan(estimate.value) and estimate.low is None
        assert math.isnan(harness_auroc(pairs))  # type: ignore[arg-type]
        return
    expected = roc_auc_score(labels, scores)
    assert estimate.value == pytest.approx(expected)
    assert harness_auroc(pairs) == pytest.approx(expected)  # type: ignore[arg-type]
    if estimate.low is not None and estimate.high is not None:
        assert 0 <= estimate.low <= estimate.high <= 1


@settings(max_examples=20)
@given(alignment_answers(min_size=2), st.randoms(use_true_random=False))
def test_the_order_of_answers_does_not_matter(records: list[Judgement], rng: random.Random) -> None:
    assert repr(auroc(rng.sample(records, len(records)))) == repr(auroc(records))


def test_the_area_is_that_of_all_pairs_and_four_concepts_have_no_interval() -> None:
    rng = np.random.default_rng(0)
    concepts: dict[tuple[str, str], list[float]] = {}
    records = []
    for label, centre in (("unsafe", 0.6), ("safe", 0.45)):
        for name in "abcd":
            middle = centre + rng.normal(0, 0.1)
            given_chances = np.clip(middle + rng.normal(0, 0.1, rng.integers(3, 9)), 0.01, 0.99)
            concepts[label, name] = list(given_chances)
            records += [unsafe_with(name, chance, label=label, row=row) for row, chance in enumerate(given_chances)]
    ours, theirs = (
        np.concatenate([found for (of, _), found in concepts.items() if of == label]) for label in ("unsafe", "safe")
    )
    estimate = auroc(records)
    assert estimate.value == pytest.approx((ours[:, None] > theirs).mean())
    assert (estimate.low, estimate.high, estimate.n_concepts) == (None, None, 8)


def test_perfect_separation_gets_a_conservative_interval() -> None:
    records = [unsafe_with(c, 0.9) for c in "abcde"] + [unsafe_with(c, 0.1, label="safe") for c in "abcdefghij"]
    estimate = auroc(records)
    # What of five and of ten concepts, none of which ranks wrong, ranks right: the fifth root of one uniform variable times
    # the tenth root of another, which is at most q with a chance of 2 q^5 - q^10.
    right = (1 - (1 - 0.025) ** 0.5) ** (1 / 5)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((1.0, right, 1.0), abs=0.01)


def test_one_concept_of_a_label_gives_no_interval() -> None:
    estimate = auroc([unsafe_with("a", 0.9), unsafe_with("b", 0.3), unsafe_with("c", 0.5, label="safe")])
    assert (estimate.value, estimate.low, estimate.high) == (0.5, None, None)


def test_perception_and_generated_answers_are_refused(judge: Callable[..., Judgement]) -> None:
    letters = dict.fromkeys("BCD", 0.1) | {"A": 0.6}
    with pytest.raises(ValueError, match=r"alignment answers only, found \['perception'\]"):
        auroc([by_likelihood("a", letters)])
    with pytest.raises(ValueError, match="by likelihood only, found generated"):
        auroc([judge("a", "safe")])
