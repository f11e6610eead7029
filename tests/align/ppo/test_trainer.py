"""PPO on a real, tiny, untrained VLM."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from own_settings import OWN_SETTINGS, with_generation_settings
from ppo_runs import Noted, Saving, even_length, logged, rows, settings, trainer, weights
from safetensors.torch import load_file

from align.ppo.passes import deal
from align.ppo.trainer import PPOTrainer
from align.stopped import TrainingStopped
from harness_ext.common.errors import UserError
from harness_ext.models.generation import request_seed


def test_a_run_trains_the_lora_and_nothing_else(untrained_vlm: Path, tmp_path: Path) -> None:
    run = trainer(untrained_vlm, settings(tmp_path))
    before = weights(run)
    frozen = {name: each.clone() for name, each in run.model.named_parameters() if not each.requires_grad}
    run.train()
    assert before and all("lora_" in name and "vision" not in name for name in before)
    assert any(not torch.equal(each, before[name]) for name, each in weights(run).items())
    assert all(torch.equal(dict(run.model.named_parameters())[name], each) for name, each in frozen.items())
    assert run.state.global_step == 8 and run.rollout == 2


@pytest.mark.parametrize("own", [OWN_SETTINGS, {"num_beams": 3}], ids=["processors", "beams"])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_a_response_is_drawn_from_what_is_scored(
    untrained_vlm: Path, tmp_path: Path, own: dict[str, Any], temperature: float
) -> None:
    """Whatever generation settings the checkpoint has: token by token, the same log-probabilities."""
    checkpoint = with_generation_settings(untrained_vlm, tmp_path / "model", own)
    args = settings(tmp_path / "out", temperature=temperature, max_completion_length=12, max_steps=1, max_kl=1e4)
    run = trainer(checkpoint, args, kind=Noted)
    assert isinstance(run, Noted)
    with torch.no_grad():
        run.model.get_input_embeddings().weight.mul_(3)  # untrained, it finds all words about as likely
        for name, each in run.model.named_parameters():
            if "lora_B" in name:
                each.normal_(std=0.5)
    run.train()
    assert run.batch["completion_mask"].sum() > 8 * 6
    assert run.apart() < 1e-4


@pytest.mark.parametrize("parts", [{}, {"per_device_train_batch_size": 8, "steps_per_generation": 1}])
def test_the_first_ratio_of_a_rollout_is_exactly_one(
    untrained_vlm: Path, tmp_path: Path, parts: dict[str, int]
) -> None:
    """With dropout anywhere, or with another forward pass than the one that scored, it would not be."""
    run = trainer(untrained_vlm, settings(tmp_path, **parts))
    run.train()
    deviations = logged(run, "ppo/first_ratio_deviation")
    assert len(deviations) == 2
    assert max(deviations) == 0.0 if parts else max(deviations) < 1e-6
    assert max(logged(run, "ppo/policy_kl")) > 0


def test_it_learns_what_is_rewarded(untrained_vlm: Path, tmp_path: Path) -> None:
    args = settings(tmp_path, per_device_train_batch_size=16, max_completion_length=1, learning_rate=1e-2, kl_coef=0.0)

    def liked(completion_ids: list[list[int]], **_: Any) -> list[float]:
        """Half of all words, those on one side of a plane through their embeddings: a LoRA can move towards it."""
        words = run.model.get_input_embeddings().weight.detach()
        side = words @ torch.randn(words.shape[1], generator=torch.Generator().manual_seed(0)) < 0
        return [1.0 if side[ids[0]] else -1.0 for ids in completion_ids]

    run = trainer(untrained_vlm, args, count=640, reward=liked)
    with torch.no_grad():  # untrained, it finds all words about as likely, and hardly any way to change that
        run.model.get_input_embeddings().weight.mul_(3)
    run.train()
    rewards = logged(run, "reward")
    assert len(rewards) == 20
    assert sum(rewards[-4:]) / 4 > sum(rewards[:4]) / 4 + 0.5


def test_clipping_acts(untrained_vlm: Path, tmp_path: Path) -> None:
    run = trainer(untrained_vlm, settings(tmp_path, learning_rate=3e-2, epsilon=0.05, num_iterations=4))
    run.train()
    assert logged(run, "ppo/clipped")[0] == 0.0
    assert max(logged(run, "ppo/clipped")) > 0


def test_in_the_critics_warmup_the_policy_stays(untrained_vlm: Path, tmp_path: Path) -> None:
    run = trainer(untrained_vlm, settings(tmp_path, critic_warmup=2))
    before = weights(run)
    head = run.value_head.value.weight.detach().clone()
    run.train()
    assert all(torch.equal(each, before[name]) for name, each in weights(run).items())
    assert not torch.equal(run.value_head.value.weight, head)


def test_the_passes_end_where_the_policy_went_too_far(untrained_vlm: Path, tmp_path: Path) -> None:
    """Of eight updates a rollout the first ones are made, and the next rollout begins anew."""
    run = trainer(untrained_vlm, settings(tmp_path, num_iterations=4, target_kl=1e-9, learning_rate=1e-2))
    run.train()
    assert run.state.global_step == 16
    # At the first update the new policy is the old one; the second of each rollout finds it too far, and is the last.
    assert len(logged(run, "ppo/policy_kl")) == 4
    assert len(logged(run, "ppo/first_ratio_deviation")) == 2


def test_the_kl_of_an_update_is_in_nats_a_response(untrained_vlm: Path, tmp_path: Path) -> None:
    parts = {"per_device_train_batch_size": 2, "steps_per_generation": 4, "gradient_accumulation_steps": 2}
    run = trainer(untrained_vlm, settings(tmp_path, learning_rate=1e-2, **parts))
    of_responses: list[torch.Tensor] = []
    score = run._log_probabilities

    def noting(model: Any, batch: dict[str, Any], compute_entropy: bool) -> Any:
        scored = score(model, batch, compute_entropy)
        change = scored[0].detach() - batch["old_per_token_logps"]
        of_responses.append((torch.where(batch["completion_mask"].bool(), change.exp() - 1 - change, 0.0)).sum(1))
        return scored

    run._log_probabilities = noting
    run.train()
    of_updates = torch.cat(of_responses).view(-1, 4).mean(1).tolist()
    assert max(of_updates) > 1e-3
    # Float32: a difference of two nearly equal numbers.
    assert logged(run, "ppo/policy_kl") == pytest.approx(of_updates, rel=1e-3, abs=1e-6)


def test_a_response_that_was_cut_off_costs(untrained_vlm: Path, tmp_path: Path) -> None:
    """Without a critic, a KL and whitening, a token's advantage is its response's score."""
    plain = {"kl_coef": 0.0, "critic_steps": 0, "lam": 1.0, "whiten_advantages": False, "max_steps": 1}
    args = settings(tmp_path, missing_eos_penalty=0.75, per_device_train_batch_size=16, **plain)
    run = trainer(untrained_vlm, args, count=32, kind=Noted)
    assert isinstance(run, Noted)
    ends = list(range(0, len(run._tokenizer), 4))
    run.eos_token_ids = run.generation_config.eos_token_id = ends
    run.train()
    mask = run.batch["completion_mask"].bool()
    drawn = [ids[real].tolist() for ids, real in zip(run.batch["completion_ids"], mask, strict=True)]
    cut_off = torch.tensor([ids[-1] not in ends for ids in drawn]).float()
    assert 0 < cut_off.mean() < 1
    assert logged(run, "completions/clipped_ratio") == [pytest.approx(float(cut_off.mean()))]
    rewards = torch.tensor(even_length(drawn))
    assert logged(run, "reward") == [pytest.approx(float(rewards.mean()))]
    assert torch.equal(run.batch["advantages"][mask], (rewards - 0.75 * cut_off)[:, None].expand(mask.shape)[mask])


def test_a_single_pass_gives_old_log_probabilities_too(untrained_vlm: Path, tmp_path: Path) -> None:
    run = trainer(
        untrained_vlm, settings(tmp_path, num_iterations=1, gradient_accumulation_steps=2, steps_per_generation=2)
    )
    run.train()
    assert len(logged(run, "ppo/policy_kl")) == 2
    assert max(logged(run, "ppo/first_ratio_deviation")) < 1e-6


def test_accumulated_micro_batches_are_one_update(untrained_vlm: Path, tmp_path: Path) -> None:
    one = {"per_device_train_batch_size": 8, "steps_per_generation": 1}
    four = {"per_device_train_batch_size": 2, "steps_per_generation": 4, "gradient_accumulation_steps": 4}
    ends = []
    for parts in (one, four):
        # Plain gradient steps: Adam would make of a rounding error a step as long as any.
        run = trainer(untrained_vlm, settings(tmp_path, optim="sgd", learning_rate=0.1, max_grad_norm=0.0, **parts))
        run.train()
        assert run.state.global_step == 4
        ends.append(weights(run))
    for name, each in ends[0].items():
        torch.testing.assert_close(each, ends[1][name], rtol=1e-4, atol=1e-6)


def test_the_kl_coefficient_adapts(untrained_vlm: Path, tmp_path: Path) -> None:
    run = trainer(untrained_vlm, settings(tmp_path, kl_target=1e-3, kl_horizon=8, learning_rate=1e-2))
    run.train()
    first, second = logged(run, "ppo/kl_coef")
    kl = logged(run, "ppo/kl")
    # 8 responses at a horizon of 8: by 20 % downwards while nothing has moved, then towards the target.
    assert kl[0] == 0 and second == pytest.approx(0.8 * first)
    assert kl[1] > 1.2e-3 and run._credit.kl_coef == pytest.approx(1.2 * second)


def test_without_updates_there_is_no_critic(untrained_vlm: Path, tmp_path: Path) -> None:
    run = trainer(untrained_vlm, settings(tmp_path, critic_steps=0), count=48)
    run.train()
    assert logged(run, "ppo/value") == logged(run, "ppo/value_loss") == [0.0] * 6


# --- what stops a run -------------------------------------------------------------------------------------------------


def test_a_reward_that_is_no_number_stops_the_run(untrained_vlm: Path, tmp_path: Path) -> None:
    def broken(completion_ids: list[list[int]], row: list[int], **_: Any) -> list[float]:
        return [math.nan if each in (1, 3) else 0.0 for each in row]

    run = trainer(untrained_vlm, settings(tmp_path), count=8, reward=broken)
    with pytest.raises(
        TrainingStopped, match=r"step 0: a response's reward is not a finite number; rows 1, 3$"
    ) as stopped:
        run.train()
    assert [sample["row"] for sample in stopped.value.samples] == [1, 3]
    assert all(isinstance(sample["response"], str) for sample in stopped.value.samples)


def test_answers_without_a_verdict_stop_the_run(untrained_vlm: Path, tmp_path: Path) -> None:
    run = trainer(untrained_vlm, settings(tmp_path, stop_on_na=True, max_completion_length=1))
    with pytest.raises(TrainingStopped, match="none of the rollout's 8 responses could be read as a verdict"):
        run.train()


@pytest.mark.parametrize("kl_coef", [0.1, 0.0])
def test_an_exploding_kl_stops_the_run(untrained_vlm: Path, tmp_path: Path, kl_coef: float) -> None:
    """Also where it costs nothing in the reward: it is measured in any case."""
    run = trainer(untrained_vlm, settings(tmp_path, max_kl=1e-4, learning_rate=0.1, kl_coef=kl_coef))
    with pytest.raises(TrainingStopped, match=r"max_kl is 0.0001: lower the learning rate, or raise kl_coef; rows"):
        run.train()


def test_broken_weights_stop_the_run(untrained_vlm: Path, tmp_path: Path) -> None:
    run = trainer(untrained_vlm, settings(tmp_path))
    name = next(name for name in weights(run) if "lora_B" in name)
    with torch.no_grad():
        run.model.get_parameter(name).fill_(math.nan)
    with pytest.raises(TrainingStopped, match="a log-probability is not a finite number"):
        run.train()


def test_a_loss_that_is_no_number_names_its_rows(untrained_vlm: Path, tmp_path: Path) -> None:
    run = trainer(untrained_vlm, settings(tmp_path))
    loss = run._compute_loss

    def broken(model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        inputs["advantages"] = inputs["advantages"] * math.nan
        return loss(model, inputs)

    run._compute_loss = broken
    with pytest.raises(TrainingStopped, match="the loss is not a finite number") as stopped:
        run.train()
    dealt = deal(8, 2, request_seed(run.args.seed, "pass", 0, 0))
    assert [sample["row"] for sample in stopped.value.samples] == dealt[0].tolist()


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss_type": "grpo"}, "loss_type: without effect in PPO"),
        ({"beta": 0.3}, "beta: without effect in PPO"),
        ({"num_generations": 4}, "num_generations: without effect in PPO"),
        ({"min_p": 0.1}, "min_p: without effect in PPO, or harmful to it"),
        ({"fp16": True}, "fp16: without effect"),
        ({"top_p": 0.9}, "top_p: without effect in PPO, or harmful to it"),
        ({"top_k": 50}, "top_k: without effect in PPO, or harmful to it"),
        ({"epsilon": 2.0}, "epsilon: Input should be less than 1, found 2.0"),
        ({"epsilon_high": 0.0}, "epsilon_high: Input should be greater than 0, found 0.0"),
        ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps: Input should be greater than 0, found 0"),
        (
            {"per_device_train_batch_size": 1, "steps_per_generation": None, "generation_batch_size": 7},
            "must be an even number of responses",
        ),
        ({"repetition_penalty": 1.2}, "repetition_penalty: without effect"),
        ({"temperature": 0.0}, "temperature: Input should be greater than 0, found 0.0"),
        ({"kl_target": 1.0, "kl_coef": 0.0}, "kl_target: without effect with a kl_coef of 0"),
        ({"per_device_train_batch_size": 3, "steps_per_generation": 1}, "must be an even number of responses"),
        ({"use_transformers_continuous_batching": True}, "continuous_batching: PPO draws its rollouts itself"),
        ({"num_train_epochs": 3}, "say `passes` for how often each row is used"),
        ({"lam": 1.5}, "lam: Input should be less than or equal to 1, found 1.5"),
        ({"missing_eos_penalty": -1.0}, "missing_eos_penalty: Input should be greater than 0, found -1.0"),
        ({"target_kl": 0}, "target_kl: Input should be greater than 0, found 0"),
        (
            {"gradient_accumulation_steps": 4},
            "steps_per_generation: expected a multiple of gradient_accumulation_steps",
        ),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        settings(tmp_path, **changes)


def test_a_rollouts_size_in_responses(tmp_path: Path) -> None:
    args = settings(tmp_path, per_device_train_batch_size=1, steps_per_generation=None, generation_batch_size=16)
    assert (args.steps_per_generation, args.generation_batch_size, args.num_generations) == (16, 16, 1)


def test_an_adapter_that_is_there_already_is_refused(untrained_vlm: Path, tmp_path: Path) -> None:
    """TRL would take a copy of it for the reference, and leave both on."""
    made = trainer(untrained_vlm, settings(tmp_path))
    with pytest.raises(UserError, match="give a base model and a peft_config"):
        PPOTrainer(made.model, even_length, made.args, made.train_dataset, made.processing_class)


def test_too_few_rows(untrained_vlm: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a rollout takes 8 rows, and there are 6"):
        trainer(untrained_vlm, settings(tmp_path), count=6)


# --- going on ---------------------------------------------------------------------------------------------------------


def test_a_resumed_run_ends_with_the_same_bits(untrained_vlm: Path, tmp_path: Path) -> None:
    args = {"save_strategy": "steps", "save_steps": 4, "kl_target": 0.1, "max_steps": 12}
    whole = trainer(untrained_vlm, settings(tmp_path / "whole", **args), count=24, kind=Saving)
    whole.train()
    resumed = trainer(untrained_vlm, settings(tmp_path / "resumed", **args), count=24, kind=Saving)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-4"))
    for name, each in weights(whole).items():
        assert torch.equal(each, weights(resumed)[name]), name
    heads = [load_file(tmp_path / run / "checkpoint-12" / "value_head.safetensors") for run in ("whole", "resumed")]
    assert all(torch.equal(each, heads[1][name]) for name, each in heads[0].items())
    history = [json.dumps([entry.get("reward"), entry.get("ppo/kl")]) for entry in whole.state.log_history]
    assert history == [json.dumps([entry.get("reward"), entry.get("ppo/kl")]) for entry in resumed.state.log_history]


def test_rows_and_rewards_match(untrained_vlm: Path, tmp_path: Path) -> None:
    """Rewards get the columns of their own rows, once each, in the rollout's order."""
    seen: list[int] = []

    def reward(row: list[int], completion_ids: list[list[int]], **columns: Any) -> list[float]:
        seen.extend(row)
        assert columns["label"] == [rows(16)["label"][each] for each in row]
        return even_length(completion_ids)

    trainer(untrained_vlm, settings(tmp_path), reward=reward).train()
    assert seen == list(range(16))
