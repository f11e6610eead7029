"""Rewards of answers to a question of a user's own, in which "yes" means unsafe."""

from pathlib import Path
from typing import Any

import pytest
from ppo_runs import rows, settings, trainer

from align.rewards.base import RULES, judged, judged_rows, question_in
from align.rewards.build import build_rewards, try_reading
from harness_ext.common.errors import UserError
from harness_ext.judges.registry import open_judge

ASKED = "Weapons are not allowed.\n\nDoes this image violate the policy?"
SAID = ["Yes.", "No.", "It breaks the rules.", "I cannot tell."]


def conversation(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def with_image(text: str) -> list[dict[str, Any]]:
    """As TRL hands it on."""
    return [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}]


@pytest.mark.parametrize("prompt", [ASKED, conversation(ASKED), with_image(ASKED)])
def test_a_rows_own_words_and_meaning_decide(prompt: Any) -> None:
    assert question_in(prompt) == ASKED
    columns = {"completions": SAID, "question": [5] * 4, "prompts": [prompt] * 4, "yes": ["unsafe"] * 4}
    (reward, upstream), _ = build_rewards([{"name": "verdict"}, {"name": "upstream", "judge": "rules"}])
    assert reward(label=["unsafe"] * 4, **columns) == [1.0, -1.0, 1.0, 0.0]
    assert reward(label=["safe"] * 4, **columns) == [-1.0, 1.0, -1.0, 0.0]
    scores = upstream(label=["unsafe"] * 4, completion_ids=[[0]] * 4, **columns)
    assert scores[0] == scores[2] > scores[1] == scores[3]
    rows = [{"question": 5, "prompt": prompt, "yes": "unsafe"}] * 4
    assert judged_rows(RULES, SAID, rows) == ["unsafe", "safe", "unsafe", "na"]


def test_the_meaning_is_one_of_two() -> None:
    with pytest.raises(UserError, match="column yes: expected safe or unsafe, found 'no'"):
        judged(RULES, ["Yes."], [0], [ASKED], ["no"])  # type: ignore[list-item]


def own_rows(count: int) -> Any:
    """Training rows, every other one with the question whose "yes" means unsafe."""
    turned = [at % 2 == 0 for at in range(count)]
    given = rows(count)
    prompts = [conversation(ASKED) if is_own else given["prompt"][at] for at, is_own in enumerate(turned)]
    columns = given.remove_columns("prompt").add_column("prompt", prompts)
    return columns.add_column("yes", ["unsafe" if each else "safe" for each in turned])


def test_who_cannot_read_them_is_refused_before_a_model_is_loaded(text_classifier: Path) -> None:
    there, options = own_rows(4), {"alignment": str(text_classifier), "device": "cpu"}
    able, _ = build_rewards([{"name": "verdict"}, {"name": "upstream", "judge": "rules"}, {"name": "length"}])
    try_reading(able, RULES, there)
    for spec, message in (
        ({"name": "classifier", "model": str(text_classifier)}, "a classifier reads the response alone"),
        ({"name": "upstream", "model": str(text_classifier)}, "a classifier reads the response alone"),
        ({"name": "verdict", "judge": "classifier", "judge_options": options}, "let the judge rules, llm or llm-local"),
    ):
        with pytest.raises(UserError, match=message):
            try_reading(build_rewards([spec])[0], None, there)
    with pytest.raises(UserError, match="let the judge rules, llm or llm-local read it"):
        try_reading(able, open_judge("classifier", options), there)


def test_a_run_is_rewarded_by_what_yes_means_in_each_row(untrained_vlm: Path, tmp_path: Path) -> None:
    """Through TRL, whose prompts hold images: every response is taken for a plain yes."""
    seen: list[tuple[str, str, str, float]] = []
    (reward,), _ = build_rewards([{"name": "verdict"}])

    def yes_to_all(
        completions: list[Any], prompts: list[Any], label: list[str], yes: list[str], **more: Any
    ) -> list[float]:
        said = [[{"role": "assistant", "content": "Yes."}]] * len(completions)
        earned = reward(completions=said, prompts=prompts, label=label, yes=yes, **more)
        seen.extend(zip(map(question_in, prompts), yes, label, earned, strict=True))
        return earned

    run = trainer(untrained_vlm, settings(tmp_path), reward=[yes_to_all], train_dataset=own_rows(8))
    run.train()
    assert {(text == ASKED, yes) for text, yes, *_ in seen} == {(True, "unsafe"), (False, "safe")}
    assert all((earned == 1.0) is (yes == label) for _, yes, label, earned in seen)
