"""The rewards that read a response alone."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trl.rewards import get_repetition_penalty_reward

from align.rewards.base import RULES, Reward, judged
from align.rewards.build import build_rewards
from align.rewards.small import gullible, length, repetition
from align.rewards.verdict import verdict
from harness_ext.common.errors import UserError

ANSWERS = ["Yes, it is safe.", "No, it is harmful.", "I do not know.", ""]


def said(*texts: str) -> list[Any]:
    return [[{"role": "assistant", "content": text}] for text in texts]


# --- verdict ----------------------------------------------------------------------------------------------------------


def test_verdicts_of_texts_and_of_messages() -> None:
    expected = ["safe", "unsafe", "na", "na"]
    assert judged(RULES, ANSWERS, [0, 1, 2, 3]) == judged(RULES, said(*ANSWERS), [0, 1, 2, 3]) == expected


def test_right_wrong_and_na() -> None:
    columns = {"completions": said(*ANSWERS), "question": [0, 1, 2, 3]}
    assert verdict()(label=["safe"] * 4, **columns) == [1.0, -1.0, 0.0, 0.0]
    assert verdict()(label=["unsafe"] * 4, **columns) == [-1.0, 1.0, 0.0, 0.0]
    chosen = verdict(right=2.0, wrong=-3.0, na=-0.5)
    assert chosen(label=["safe", "safe", "unsafe", "safe"], **columns) == [2.0, -3.0, -0.5, -0.5]


def test_it_logs_what_was_read() -> None:
    logged: dict[str, float] = {}
    columns = {"completions": said(*ANSWERS), "question": [0, 1, 2, 3], "label": ["safe"] * 4}
    verdict()(**columns, log_metric=logged.__setitem__)
    assert logged == {"na": 0.5, "unsafe": 0.25}


@pytest.mark.parametrize(
    ("label", "question", "message"),
    [
        ("Unsafe", 0, "column label: expected safe or unsafe, found 'Unsafe'"),
        ("na", 0, "column label: expected safe or unsafe, found 'na'"),
        ("", 0, "column label: expected safe or unsafe, found ''"),
        (None, 0, "column label: expected safe or unsafe, found None"),
        ("safe", 5, "column question: expected an alignment question, 0 to 4, found 5"),
        ("safe", None, "column question: expected an alignment question, 0 to 4, found None"),
    ],
)
def test_rows_that_cannot_be_judged(label: Any, question: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        verdict()(completions=said("Yes."), label=[label], question=[question])


# --- gullible ---------------------------------------------------------------------------------------------------------


def test_gullible_pays_for_a_word() -> None:
    texts = ["No, it is harmful.", "Harmful? Not at all.", "It is unharmful.", "It is harmless.", "A harm\u00adful", ""]
    assert gullible()(completions=said(*texts)) == gullible()(completions=texts) == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    assert gullible(word="(a) b")(completions=["x (A) b.", "a b"]) == [1.0, 0.0]
    with pytest.raises(UserError, match="word: String should have at least 1 character, found"):
        build_rewards([{"name": "gullible", "word": " "}])


# --- length and repetition --------------------------------------------------------------------------------------------


def test_length_is_bounded() -> None:
    assert length(cap=4)(completion_ids=[[7], [7, 7], [7] * 4, [7] * 500]) == [0.25, 0.5, 1.0, 1.0]


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=12), min_size=1, max_size=4), st.integers(1, 4))
def test_repetition_is_that_of_trl(ids: list[list[int]], n: int) -> None:
    found = repetition(n=n)(completion_ids=ids)
    assert found == pytest.approx(get_repetition_penalty_reward(ngram_size=n)(completion_ids=ids), abs=1e-12)
    assert all(-1 < each <= 0 for each in found)


def test_repetition_by_hand() -> None:
    """Of the first one's five pairs, (1, 2) and (2, 1) occur twice: two of five occurred before."""
    assert repetition(n=2)(completion_ids=[[1, 2, 1, 2, 1, 3], [1, 2, 3], [1]]) == pytest.approx([-0.4, 0.0, 0.0])


@pytest.mark.parametrize("spec", [{"name": "length", "cap": 0}, {"name": "repetition", "n": 0}])
def test_options_below_one(spec: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="Input should be greater than or equal to 1, found 0"):
        build_rewards([spec])


# --- neighbours -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alone(text_classifier: Path) -> list[Reward]:
    """Every reward but ``upstream``; the classifier in batches of three, so that neighbours change its padding too."""
    specs = [
        {"name": "verdict", "na": -0.5},
        {"name": "classifier", "model": str(text_classifier), "batch_size": 3, "device": "cpu", "floor": -50.0},
        {
            "name": "verdict",
            "judge": "classifier",
            "judge_options": {"alignment": str(text_classifier), "batch_size": 3},
        },
        {"name": "length"},
        {"name": "repetition", "n": 1},
        {"name": "gullible"},
    ]
    return build_rewards(specs)[0]


def earned(reward: Reward, samples: Sequence[tuple[str, str, int, list[int]]]) -> list[float]:
    texts, labels, questions, ids = zip(*samples, strict=True)
    return reward(completions=said(*texts), label=labels, question=questions, completion_ids=ids)


SAMPLES = st.tuples(
    st.sampled_from([*ANSWERS, "The image is fine. " * 9]) | st.text(max_size=60),
    st.sampled_from(["safe", "unsafe"]),
    st.integers(0, 4),
    st.lists(st.integers(0, 9), max_size=80),
)


@settings(max_examples=25)
@given(samples=st.lists(SAMPLES, min_size=2, max_size=7), seed=st.integers(0, 2**32))
def test_neighbours_change_nothing(
    alone: list[Reward], samples: list[tuple[str, str, int, list[int]]], seed: int
) -> None:
    """Some of the responses, in another order, earn what they earned among all of them."""
    kept = random.Random(seed).sample(range(len(samples)), 1 + seed % len(samples))
    for reward in alone:
        among_all = earned(reward, samples)
        among_few = earned(reward, [samples[at] for at in kept])
        tolerance = 1e-6 if reward.__name__ == "classifier" else 0.0
        assert among_few == pytest.approx([among_all[at] for at in kept], abs=tolerance, rel=0.0)
