"""Reliability, calibration error and Brier score against scikit-learn and ranks; mass against arithmetic."""

import math
import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from likelihoods import alignment_answers, by_likelihood, unsafe_with
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from harness_ext.metrics.likelihood import (
    brier,
    chance_of_unsafe,
    expected_calibration_error,
    mass,
    mean_mass,
    normalised,
    reliability,
)
from harness_ext.records import Judgement


def perception_answers(count: int = 60, seed: int = 0) -> list[Judgement]:
    rng = np.random.default_rng(seed)
    return [
        by_likelihood("abcde"[row % 5], dict(zip("ABCD", 0.8 * rng.dirichlet(np.ones(4)), strict=True)), row=row)
        for row in range(count)
    ]


def table(records: list[Judgement]) -> pd.DataFrame:
    """Confidence and whether right, of the answers that have a verdict."""
    decided = [record for record in records if record.verdict not in ("na", "failed")]
    rows = [(max(normalised(record.scores).values()), record.correct) for record in decided if record.scores]
    return pd.DataFrame(rows, columns=["confidence", "right"])


@settings(max_examples=50)
@given(alignment_answers())
def test_the_error_is_that_of_bins_by_rank(records: list[Judgement]) -> None:
    answers = table(records)
    assume(len(answers))
    # An answer is beyond the k-th tenth of n answers if k (n - 1) / 10 of them, or more, are less sure: whole numbers only.
    less_sure = answers.confidence.round(12).rank(method="min").astype(int) - 1
    bins = answers.groupby([sum(k * (len(answers) - 1) < 10 * m for k in range(1, 10)) for m in less_sure])
    gaps = (bins.confidence.mean() - bins.right.mean()).abs()
    estimate = expected_calibration_error(records)
    assert estimate.value == pytest.approx((gaps * bins.size()).sum() / len(answers))
    assert estimate.n_answers == len(answers)
    if estimate.low is not None and estimate.high is not None:
        assert 0 <= estimate.low <= estimate.value + 1e-12 and estimate.value <= estimate.high <= 1


@pytest.mark.parametrize("records", [perception_answers(), [unsafe_with("a", p / 200, row=p) for p in range(101, 200)]])
def test_the_curve_is_scikit_learns(records: list[Judgement]) -> None:
    answers = table(records)
    shares, confidences = calibration_curve(answers.right, answers.confidence, n_bins=10, strategy="quantile")
    curve = reliability(records)
    assert [point.confidence for point in curve] == pytest.approx(list(confidences))
    assert [point.accuracy.value for point in curve] == pytest.approx(list(shares))
    assert sum(point.accuracy.n_answers for point in curve) == len(answers)


@settings(max_examples=50)
@given(alignment_answers())
def test_the_brier_score_of_alignment_is_scikit_learns(records: list[Judgement]) -> None:
    scored = [record for record in records if record.scores]
    assume(scored)
    chances = [chance_of_unsafe(record.scores) for record in scored if record.scores]
    expected = brier_score_loss([record.label == "unsafe" for record in scored], chances, labels=[False, True])
    estimate = brier(records)
    assert estimate.value == pytest.approx(expected)
    assert estimate.n_answers == len(scored)


def test_the_brier_score_of_perception_is_scikit_learns() -> None:
    records = perception_answers()
    chances = np.array(
        [[normalised(record.scores)[letter] for letter in "ABCD"] for record in records if record.scores]
    )
    expected = brier_score_loss(["A"] * len(records), chances, labels=list("ABCD"), scale_by_half=True)
    assert brier(records).value == pytest.approx(expected)


@settings(max_examples=20)
@given(alignment_answers(min_size=2), st.randoms(use_true_random=False))
def test_the_order_of_answers_does_not_matter(records: list[Judgement], rng: random.Random) -> None:
    shuffled = rng.sample(records, len(records))
    for metric in (brier, expected_calibration_error, reliability, mean_mass):
        assert repr(metric(shuffled)) == repr(metric(records))


def test_of_a_calibrated_model_the_interval_reaches_down() -> None:
    rng = np.random.default_rng(0)
    records = []
    for concept in range(40):
        for row in range(25):
            sure = rng.uniform(0.55, 0.95)
            # The verdict is "unsafe", and right as often as it is sure.
            label = "unsafe" if rng.random() < sure else "safe"
            records.append(unsafe_with(f"concept {concept}", sure, row=row, label=label))
    estimate = expected_calibration_error(records)
    assert estimate.low is not None and estimate.low < 0.01 < estimate.value < 0.05


def test_probabilities_are_given_the_labels_and_mass_is_what_they_cover() -> None:
    scores = {"Yes": math.log(0.02), "No": math.log(0.06)}
    assert mass(scores) == pytest.approx(0.08)
    assert normalised(scores) == pytest.approx({"Yes": 0.25, "No": 0.75})
    assert chance_of_unsafe(scores) == pytest.approx(0.75)
    # As unlikely as it gets: still probabilities, of no mass.
    assert normalised({"Yes": -746.0, "No": -746.0}) == {"Yes": 0.5, "No": 0.5}
    assert mean_mass([unsafe_with("a", 0.5, 0.5), unsafe_with("b", 0.5, 0.7)]) == pytest.approx(0.6)


def test_without_scores_there_is_no_number() -> None:
    failed = Judgement("glyphworld", "image", 0, "a", "Hate", "unsafe", 0, "unsafe", "failed", "j", "likelihood")
    for estimate in (brier([failed]), expected_calibration_error([failed])):
        assert math.isnan(estimate.value) and estimate.n_answers == 0
    assert reliability([failed]) == () and math.isnan(mean_mass([failed]))


def test_answers_as_sure_as_each_other_share_a_bin() -> None:
    """P and 1 - P are equally sure, but for a last bit; 0.5 is no verdict."""
    curve = reliability([unsafe_with("a", p / 200, row=p) for p in range(1, 200)])
    assert [point.accuracy.n_answers % 2 for point in curve] == [0] * 10
