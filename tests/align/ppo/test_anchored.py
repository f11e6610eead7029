"""PPO with anchors on a real, tiny, untrained VLM: they earn the KL alone, and blur nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from ppo_runs import EvenLetters, Saving, anchored, even_length, logged, settings, trainer, weights
from safetensors.torch import load_file

from align.ppo.trainer import PPOTrainer
from align.stopped import TrainingStopped


class Kept(PPOTrainer):
    """Keeps every rollout."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.rollouts: list[dict[str, Any]] = []
        super().__init__(*args, **kwargs)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self.rollouts.append(super()._generate_and_score_completions(inputs))
        return self.rollouts[-1]


def test_no_function_and_no_judge_reads_an_anchor(untrained_vlm: Path, tmp_path: Path) -> None:
    seen: list[int] = []

    def reward(row: list[int], completion_ids: list[list[int]], anchor: list[bool], **_: Any) -> list[float]:
        assert not any(anchor)
        seen.extend(row)
        return [1.0 if number % 4 else 0.0 for number in row]

    rows = anchored(16)
    args = settings(tmp_path, monitor="rules", monitor_first=2)
    run = trainer(untrained_vlm, args, train_dataset=rows, reward=reward, judge=EvenLetters())
    run.train()
    judged = [row for row, is_anchor in zip(rows["row"], rows["anchor"], strict=True) if not is_anchor]
    assert len(rows) == 16 and len(judged) == 12 and seen == judged
    # The log's mean is that of the judged ones alone.
    assert logged(run, "reward") == [
        pytest.approx(sum(1.0 for row in judged[first : first + 6] if row % 4) / 6) for first in (0, 6)
    ]
    watched = run._monitor
    assert watched is not None and [len(each.scores) for each in watched._first] == [6, 6]


def test_an_anchor_is_credited_with_its_kl_in_the_scale_of_the_others(untrained_vlm: Path, tmp_path: Path) -> None:
    rows = anchored(16)
    run = trainer(untrained_vlm, settings(tmp_path, learning_rate=3e-2), train_dataset=rows, kind=Kept)
    assert isinstance(run, Kept)
    run.train()
    first, second = run.rollouts
    for rollout in (first, second):
        mask, judged = rollout["completion_mask"].bool(), rollout["judged"]
        assert judged.sum() == 6
        of_judged = rollout["advantages"][judged][mask[judged]]
        assert of_judged.mean() == pytest.approx(0, abs=1e-6) and of_judged.std(correction=0) == pytest.approx(
            1, abs=1e-5
        )
    # While the policy is the original there is no KL; later there is.
    assert not first["advantages"][~first["judged"]].any()
    assert second["advantages"][~second["judged"]].any()
    assert logged(run, "ppo/anchor_kl")[0] == 0 and logged(run, "ppo/anchor_kl")[1] != 0


def test_anchors_hold_nothing_without_a_kl_and_critic_and_bonus_leave_them_out(
    untrained_vlm: Path, tmp_path: Path
) -> None:
    """With a KL of no weight the policy gets no gradient from them: other answers to them change nothing."""
    ends = []
    for question in ("What does this image show?", "Where is the shape?"):
        rows = anchored(16, question)
        run = trainer(
            untrained_vlm, settings(tmp_path, kl_coef=0.0, entropy_coef=1.0, max_grad_norm=0.0), train_dataset=rows
        )
        run.train()
        ends.append((weights(run), run.value_head.state_dict()))
    # The tokens that a loss is divided by are those of all responses, and Adam takes no notice of a factor.
    for name, each in ends[0][0].items():
        torch.testing.assert_close(each, ends[1][0][name], rtol=1e-2, atol=1e-4)
    for name, each in ends[0][1].items():
        torch.testing.assert_close(each, ends[1][1][name], rtol=1e-3, atol=1e-5)


def test_an_exploding_kl_of_anchors_stops_the_run(untrained_vlm: Path, tmp_path: Path) -> None:
    run = trainer(untrained_vlm, settings(tmp_path), train_dataset=anchored(16), kind=Kept)
    kl = run._credit.kl
    run._credit.kl = lambda scored, judged=True: kl(scored, judged) if judged else 60.0  # type: ignore[method-assign]
    with pytest.raises(TrainingStopped, match="the KL to the reference is 60 nats an anchor, and max_kl is 50"):
        run.train()


def test_a_resumed_run_ends_with_the_same_bits(untrained_vlm: Path, tmp_path: Path) -> None:
    args = {"save_strategy": "steps", "save_steps": 4, "kl_target": 0.1, "max_steps": 12}
    rows = anchored(24)
    whole = trainer(untrained_vlm, settings(tmp_path / "whole", **args), train_dataset=rows, kind=Saving)
    whole.train()
    resumed = trainer(untrained_vlm, settings(tmp_path / "resumed", **args), train_dataset=rows, kind=Saving)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-4"))
    assert all(torch.equal(each, weights(resumed)[name]) for name, each in weights(whole).items())
    folders = [tmp_path / run / "checkpoint-12" for run in ("whole", "resumed")]
    heads = [load_file(each / "value_head.safetensors") for each in folders]
    assert all(torch.equal(each, heads[1][name]) for name, each in heads[0].items())
    assert logged(whole, "ppo/anchor_kl") == logged(resumed, "ppo/anchor_kl")
    drawn = [(each / "drawn.json").read_text() for each in folders]
    assert drawn[0] == drawn[1]
    counts = json.loads(drawn[0])["concepts"]
    # Three rollouts, of which the last two are in the second and in the third quarter; anchors are not counted.
    assert [sum(each["drawn"][part] for each in counts) for part in range(4)] == [6, 6, 6, 0]


def test_right_verdicts_are_counted_by_concept(
    untrained_vlm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Untrained, it gives no verdict: a judge that has some reads in the place of the rules."""
    monkeypatch.setattr("align.ppo.trainer.RULES", EvenLetters())
    run = trainer(untrained_vlm, settings(tmp_path), reward=even_length)
    answers: list[tuple[str, str, bool]] = []
    read = run._read

    def noting(rows: list[dict[str, Any]], texts: list[str], at: list[int]) -> None:
        for row, text in zip(rows, texts, strict=True):
            answers.append((row["label"], row["concept"], (len(text) % 2 == 0) == (row["label"] == "safe")))
        read(rows, texts, at)

    run._read = noting  # type: ignore[method-assign]
    run.train()
    run.save_critic(tmp_path)
    told = json.loads((tmp_path / "drawn.json").read_text())
    assert told["judge"] == "even-1" and len(told["concepts"]) == len({each[:2] for each in answers}) == 16
    for each in told["concepts"]:
        mine = [right for label, concept, right in answers if (label, concept) == (each["label"], each["concept"])]
        assert (sum(each["drawn"]), sum(each["right"])) == (len(mine), sum(mine))
    assert 0 < sum(right for _, _, right in answers) < 16
