"""The published code's reward: its arithmetic, and its faults."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from align.rewards.base import Reward
from align.rewards.build import build_rewards
from align.rewards.upstream import upstream
from harness_ext.common.errors import UserError

SAY = {"safe": "Yes.", "unsafe": "No.", "na": "I do not know."}


def earned(reward: Reward, verdicts: list[str], labels: list[str], tokens: list[int], **more: Any) -> list[float]:
    return reward(
        completions=[SAY[each] for each in verdicts],
        completion_ids=[[0] * count for count in tokens],
        label=labels,
        question=[0] * len(labels),
        **more,
    )


def oracle(distributions: np.ndarray, labels: list[str], tokens: list[int]) -> np.ndarray:
    """``distributions`` over safe, unsafe and na, shape (B, 3)."""
    one_hot = np.array([[each == "safe", each == "unsafe", False] for each in labels], dtype=float)
    goodness = (one_hot * np.log(distributions)).sum(1)
    return 10 * (goodness - goodness.min()) / np.ptp(goodness) + 40 * np.array(tokens) / 512


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(SAY)), st.sampled_from(["safe", "unsafe"]), st.integers(0, 512)), max_size=12
    ),
    st.floats(0.4, 0.999),
)
def test_by_a_judge(samples: list[tuple[str, str, int]], confidence: float) -> None:
    # A right answer and a wrong one, for all are equal otherwise.
    samples = [*samples, ("safe", "safe", 3), ("safe", "unsafe", 5)]
    verdicts, labels, tokens = (list(part) for part in zip(*samples, strict=True))
    rest = (1 - confidence) / 2
    rows = {"safe": (confidence, rest, rest), "unsafe": (rest, confidence, rest), "na": (rest, rest, confidence)}
    expected = oracle(np.array([rows[each] for each in verdicts]), labels, tokens)
    found = earned(upstream(judge="rules", confidence=confidence), verdicts, labels, tokens)
    assert found == pytest.approx(expected, abs=1e-9)


def test_by_a_classifier(text_classifier: Path) -> None:
    texts = ["Yes.", "No, it is not safe.", "I cannot say.", "the image shows something harmful"]
    labels, tokens = ["safe", "unsafe", "unsafe", "safe"], [2, 6, 9, 512]
    model = AutoModelForSequenceClassification.from_pretrained(text_classifier)
    tokenizer = AutoTokenizer.from_pretrained(text_classifier)
    with torch.no_grad():
        logits = np.concatenate([model(**tokenizer(text, return_tensors="pt")).logits.numpy() for text in texts])
    odds = np.exp(logits.astype(float))[:, [2, 1, 0]]  # its labels are na, unsafe, safe
    reward = upstream(model=str(text_classifier), device="cpu")
    found = reward(completions=texts, completion_ids=[[0] * count for count in tokens], label=labels)
    assert found == pytest.approx(oracle(odds / odds.sum(1, keepdims=True), labels, tokens), abs=1e-4)


def test_neighbours_decide() -> None:
    reward = upstream(judge="rules")
    assert earned(reward, ["na"], ["safe"], [0]) == [0.0]
    assert earned(reward, ["safe", "na"], ["safe", "safe"], [0, 0]) == pytest.approx([10.0, 0.0])


@pytest.mark.parametrize("verdicts", [["safe"], ["safe", "safe", "safe"], ["na", "unsafe"]])
def test_ties_are_logged_and_are_numbers(verdicts: list[str]) -> None:
    logged: dict[str, float] = {}
    count = len(verdicts)
    found = earned(upstream(judge="rules"), verdicts, ["safe"] * count, [512] * count, log_metric=logged.__setitem__)
    assert found == [40.0] * count and logged["tied"] == 1.0
    earned(upstream(judge="rules"), ["safe", "na"], ["safe"] * 2, [1, 1], log_metric=logged.__setitem__)
    assert logged == {"tied": 0.0, "na": 0.5, "unsafe": 0.0}


def test_tokens_pay_as_much_as_being_right() -> None:
    right, wrong = earned(upstream(judge="rules"), ["safe", "unsafe"], ["safe", "safe"], [100, 228])
    assert right == pytest.approx(wrong)
    right, wrong = earned(upstream(judge="rules", max_tokens=1024), ["safe", "unsafe"], ["safe", "safe"], [100, 228])
    assert right == pytest.approx(wrong + 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected one of model .* and judge .*, found both or neither"),
        ({"model": "x", "judge": "rules"}, "found both or neither"),
        ({"judge": "oracle"}, "no judge is named 'oracle'; expected one of rules, llm, "),
        ({"judge": "rules", "confidence": 0.3}, "confidence: Input should be greater than 0.333.*, found 0.3"),
        ({"judge": "rules", "confidence": 1.0}, "confidence: Input should be less than 1, found 1.0"),
        ({"judge": "rules", "judge_options": {"strict": 1}}, "judge rules: no option strict; it has none"),
        ({"model": "x", "confidence": 0.9}, "confidence and judge_options are a judge's"),
        ({"model": "x", "judge_options": {}}, "confidence and judge_options are a judge's"),
        ({"judge": "rules", "max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1, found 0"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_rewards([{"name": "upstream", **options}])


def test_a_judge_needs_the_question() -> None:
    with pytest.raises(UserError, match="a judge needs the column question"):
        upstream(judge="rules")(completions=["Yes."], completion_ids=[[1]], label=["safe"])
