"""Agreement of the two ways of asking: kappa against scikit-learn, the interval against every possible resample."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from likelihoods import by_likelihood, unsafe_with
from sklearn.metrics import cohen_kappa_score

from harness_ext.metrics.agreement import agreement
from harness_ext.records import Judgement

Judge = Callable[..., Judgement]
VERDICTS = ("safe", "unsafe")


def both_ways(rows: list[tuple[str, str, str]]) -> tuple[list[Judgement], list[Judgement]]:
    """Answers by likelihood and generated ones, from (concept, verdict by likelihood, generated verdict)."""
    ours, theirs = [], []
    for row, (concept, one, other) in enumerate(rows):
        ours.append(replace(unsafe_with(concept, 0.7 if one == "unsafe" else 0.3, row=row), verdict=one))
        theirs.append(Judgement("glyphworld", "image", row, concept, "Hate", "unsafe", 0, "unsafe", other, "rules-1"))
    return ours, theirs


verdicts = st.tuples(st.sampled_from("abc"), st.sampled_from(VERDICTS), st.sampled_from((*VERDICTS, "na", "failed")))


@settings(max_examples=50)
@given(st.lists(verdicts, min_size=1, max_size=30))
def test_it_is_scikit_learns_kappa_of_the_questions_with_two_verdicts(rows: list[tuple[str, str, str]]) -> None:
    found = agreement(*both_ways(rows))
    decided = [(one, other) for _, one, other in rows if other in VERDICTS]
    assert found.equal.n_answers == found.kappa.n_answers == len(decided)
    assert found.generated_na == sum(other == "na" for _, _, other in rows)
    assert found.generated_failed == sum(other == "failed" for _, _, other in rows)
    assert found.likelihood_without == found.unpaired == 0
    if not decided:
        assert math.isnan(found.equal.value) and math.isnan(found.kappa.value)
        return
    assert found.equal.value == pytest.approx(sum(one == other for one, other in decided) / len(decided))
    ours, theirs = zip(*decided, strict=True)
    if len({*ours, *theirs}) == 1:
        assert math.isnan(found.kappa.value)
    else:
        assert found.kappa.value == pytest.approx(cohen_kappa_score(ours, theirs))


def test_of_perception_kappa_is_over_the_letters(judge: Judge) -> None:
    rng = np.random.default_rng(0)
    ours, theirs = [], []
    for row in range(80):
        concept = "abcd"[row % 4]
        ours.append(by_likelihood(concept, dict(zip("ABCD", rng.dirichlet(np.ones(4)), strict=True)), row=row))
        said = ours[-1].verdict if rng.random() < 0.6 else "ABCD"[rng.integers(4)]
        theirs.append(judge(concept, said, probe="perception", row=row))
    found = agreement(ours, theirs)
    expected = cohen_kappa_score([one.verdict for one in ours], [other.verdict for other in theirs])
    assert found.kappa.value == pytest.approx(expected)
    assert found.kappa.low is None and found.kappa.high is None


def test_the_interval_holds_that_of_all_resamples() -> None:
    # By concept: both unsafe, only by likelihood, only generated, neither.
    tables = {"a": (6, 1, 0, 3), "b": (2, 4, 1, 3), "c": (1, 0, 3, 9), "d": (8, 2, 2, 4), "e": (3, 0, 1, 12)}
    kinds = (("unsafe", "unsafe"), ("unsafe", "safe"), ("safe", "unsafe"), ("safe", "safe"))
    rows = [
        (concept, *kind)
        for concept, counts in tables.items()
        for kind, count in zip(kinds, counts, strict=True)
        for _ in range(count)
    ]
    everything = []
    for pick in itertools.product(tables.values(), repeat=5):
        both, first, second, neither = (sum(column) for column in zip(*pick, strict=True))
        n = both + first + second + neither
        chance = ((both + first) * (both + second) + (second + neither) * (first + neither)) / n**2
        everything.append(((both + neither) / n - chance) / (1 - chance))
    kappa = agreement(*both_ways(rows)).kappa
    low, high = np.quantile(everything, [0.025, 0.975])
    assert kappa.low is not None and kappa.high is not None
    assert -1 <= kappa.low < low and high < kappa.high <= 1


def test_full_agreement_gets_a_conservative_interval_and_one_verdict_alone_no_kappa() -> None:
    full = agreement(*both_ways([(c, v, v) for c in "abcde" for v in ("safe", "unsafe", "unsafe")]))
    unseen = 1 - 0.025 ** (1 / 5)
    assert (full.kappa.value, full.kappa.low, full.kappa.high) == pytest.approx((1.0, 1 - 2 * unseen, 1.0), abs=1e-3)
    alone = agreement(*both_ways([(c, "unsafe", "unsafe") for c in "abcde"]))
    assert alone.equal.value == 1.0 and math.isnan(alone.kappa.value) and alone.kappa.low is None
    # Fewer than five concepts: a value, and no interval.
    some = agreement(*both_ways([("a", "safe", "safe"), ("b", "unsafe", "unsafe"), ("b", "unsafe", "safe")]))
    assert some.kappa.value == pytest.approx(0.4) and some.kappa.low is None


def test_questions_asked_in_one_way_only_and_ties_are_counted_apart() -> None:
    ours, theirs = both_ways([("a", "na", "safe"), ("a", "unsafe", "unsafe"), ("b", "safe", "safe"), ("b", "na", "na")])
    found = agreement(ours[:3] + ours[3:], [theirs[0], theirs[1], theirs[3]])
    assert (found.equal.n_answers, found.likelihood_without, found.generated_na, found.unpaired) == (1, 1, 1, 1)


def test_wrong_sides_and_questions_answered_twice_are_refused(judge: Judge) -> None:
    ours, theirs = both_ways([("a", "safe", "safe")])
    with pytest.raises(ValueError, match="expected answers of the way 'likelihood', found 'generated'"):
        agreement(theirs, theirs)
    with pytest.raises(ValueError, match="one answer to each question, found several"):
        agreement(ours, theirs * 2)
