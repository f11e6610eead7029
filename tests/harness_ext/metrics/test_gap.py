"""The modality gap and the rate that conditions on perception and knowledge, against plain loops."""

import itertools
import math
import random
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_ext.metrics.ratios import NaConvention, accuracy, knows_but_calls_safe, modality_gap
from harness_ext.records import Judgement

Judge = Callable[..., Judgement]
CONCEPTS = "abcde"
VERDICTS = ("safe", "unsafe", "na", "failed")


def side(probe: str) -> st.SearchStrategy[list[Judgement]]:
    drawn = st.lists(
        st.tuples(st.sampled_from(CONCEPTS), st.sampled_from(VERDICTS), st.integers(0, 4)), min_size=1, max_size=40
    )
    return drawn.map(
        lambda rows: [
            Judgement("glyphworld", probe, row, concept, "Hate", "unsafe", question, "unsafe", verdict, "j")  # type: ignore[arg-type]
            for row, (concept, verdict, question) in enumerate(rows)
        ]
    )


@given(side("text"), side("image"), st.sampled_from(("drop", "wrong")))
def test_both_estimators_agree_with_pandas(text: list[Judgement], image: list[Judgement], na: NaConvention) -> None:
    table = pd.DataFrame([record.to_dict() for record in text + image])
    table["right"] = table.verdict == table.expected
    table = table[~table.verdict.isin(["failed", "na"] if na == "drop" else ["failed"])]
    pairs = table.groupby(["concept", "probe"]).right.mean().unstack().reindex(columns=["text", "image"]).dropna()
    common = table[table.concept.isin(pairs.index)]
    pooled = common[common.probe == "text"].right.mean() - common[common.probe == "image"].right.mean()

    gap = modality_gap(text, image, na)
    assert gap.pooled.value == pytest.approx(pooled, nan_ok=True)
    assert gap.by_concept.value == pytest.approx((pairs.text - pairs.image).mean(), nan_ok=True)
    assert gap.pooled.n_concepts == gap.by_concept.n_concepts == len(pairs)
    assert gap.pooled.n_answers == len(common)
    assert gap.unpaired_concepts == table.concept.nunique() - len(pairs)
    for estimate in (gap.pooled, gap.by_concept):
        if len(pairs) < 5:
            assert estimate.low is None and estimate.high is None
        else:
            assert estimate.low is not None and estimate.high is not None
            assert -1 <= estimate.low <= estimate.high <= 1


@given(side("text"), side("image"), st.randoms(use_true_random=False))
def test_the_order_of_answers_does_not_matter(
    text: list[Judgement], image: list[Judgement], rng: random.Random
) -> None:
    shuffled = modality_gap(rng.sample(text, len(text)), rng.sample(image, len(image)), "drop")
    assert repr(shuffled) == repr(modality_gap(text, image, "drop"))


def test_pooled_is_the_difference_of_the_two_printed_accuracies(judge: Judge) -> None:
    text = [
        judge(c, v, probe="text") for c, v in zip("aabbb", ("unsafe", "safe", "unsafe", "unsafe", "na"), strict=True)
    ]
    image = [
        judge(c, v, row=i) for i, (c, v) in enumerate(zip("aaab", ("safe", "safe", "unsafe", "unsafe"), strict=True))
    ]
    gap = modality_gap(text, image, "wrong")
    assert gap.pooled.value == accuracy(text, "wrong") - accuracy(image, "wrong") == 3 / 5 - 2 / 4
    assert gap.by_concept.value == pytest.approx(((1 / 2 - 1 / 3) + (2 / 3 - 1)) / 2)


def test_the_intervals_hold_those_of_all_paired_samples(judge: Judge) -> None:
    rights = {"a": (5, 1, 10), "b": (4, 6, 20), "c": (5, 2, 5), "d": (2, 5, 5), "e": (3, 0, 15)}
    text, image = [], []
    for concept, (text_right, image_right, images) in rights.items():
        text += [judge(concept, "unsafe" if i < text_right else "safe", probe="text", question=i) for i in range(5)]
        image += [judge(concept, "unsafe" if i < image_right else "safe", row=i) for i in range(images)]
    pooled, paired = [], []
    for pick in itertools.product(rights.values(), repeat=5):
        t, i, n = (sum(column) for column in zip(*pick, strict=True))
        pooled.append(t / 25 - i / n)
        paired.append(sum(right / 5 - wrong / size for right, wrong, size in pick) / 5)
    gap = modality_gap(text, image, "drop")
    for estimate, everything in ((gap.pooled, pooled), (gap.by_concept, paired)):
        low, high = np.quantile(everything, [0.025, 0.975])
        assert estimate.low is not None and estimate.high is not None
        assert -1 <= estimate.low < low and high < estimate.high <= 1


def test_a_gap_without_spread_gets_a_conservative_interval(judge: Judge) -> None:
    text = [judge(c, "unsafe", probe="text") for c in CONCEPTS]
    image = [judge(c, "safe") for c in CONCEPTS]
    gap = modality_gap(text, image, "drop")
    # At most 1 - 0.025 ** (1/5) of the concepts could differ; with one text answer each, the worst that these may have is -1.
    unseen = 1 - 0.025 ** (1 / 5)
    for estimate in (gap.pooled, gap.by_concept):
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx((1.0, 1 - 2 * unseen, 1.0), abs=1e-3)


def test_sides_without_a_common_concept_have_no_gap(judge: Judge) -> None:
    gap = modality_gap([judge("a", "unsafe", probe="text")], [judge("b", "unsafe"), judge("a", "na")], "drop")
    assert math.isnan(gap.pooled.value) and math.isnan(gap.by_concept.value)
    assert gap.pooled.low is None and gap.unpaired_concepts == 2


def test_swapped_sides_are_refused(judge: Judge) -> None:
    with pytest.raises(ValueError, match=r"text side .* found \['image'\]"):
        modality_gap([judge("a", "unsafe")], [judge("a", "unsafe")], "drop")


@given(st.integers(0, 10_000))
def test_knows_but_calls_safe_agrees_with_a_plain_loop(seed: int) -> None:
    rng = random.Random(seed)
    perception, text, image = [], [], []
    for position, concept in enumerate(CONCEPTS):
        label = "safe" if concept == "e" else "unsafe"
        base = ("glyphworld", "text", position, concept, "Hate", label)
        text += [Judgement(*base, q, label, rng.choice(VERDICTS), "j") for q in range(5)]  # type: ignore[arg-type]
        for row in range(3 * position, 3 * position + 3):
            seen = rng.choice(("A", "B", "na", "failed"))
            perception.append(
                Judgement("glyphworld", "perception", row, concept, "Hate", label, 0, "A", seen, "j")  # type: ignore[arg-type]
            )
            image += [
                Judgement("glyphworld", "image", row, concept, "Hate", label, q, label, rng.choice(VERDICTS), "j")  # type: ignore[arg-type]
                for q in range(5)
            ]
    qualify = called_safe = 0
    for answer in image:
        if answer.label == "safe" or answer.verdict == "failed":
            continue
        saw = [p.verdict == "A" for p in perception if p.row == answer.row]
        knew = [t.verdict == "unsafe" for t in text if (t.concept, t.question) == (answer.concept, answer.question)]
        if saw == [True] and knew == [True]:
            qualify += 1
            called_safe += answer.verdict == "safe"
    estimate = knows_but_calls_safe(perception, text, image)
    assert estimate.n_answers == qualify
    assert estimate.value == pytest.approx(called_safe / qualify if qualify else math.nan, nan_ok=True)


def test_two_perception_answers_for_one_image_are_refused(judge: Judge) -> None:
    twice = [judge("a", "A", probe="perception")] * 2
    with pytest.raises(ValueError, match="one perception answer for each key, found several for"):
        knows_but_calls_safe(twice, [], [])
