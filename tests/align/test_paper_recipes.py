"""The recipes of the paper say what the paper does: every setting that it or its published code gives, with its value.

Source: Qu, Backes, Zhang, USENIX Security 2025, arXiv 2507.11155, and github.com/TrustAIRLab/SaferVLM at 22632cf. The
coefficient of the value loss, 0.1, has no counterpart here: the critic has an optimiser of its own.
"""

from dataclasses import asdict
from typing import Any

import pytest

from align.recipe import read_recipe
from align.rewards.build import build_rewards
from align.settings import read_settings

EVERY = {
    "model": "llava-7b",
    "bf16": True,
    "lora_r": 128,
    "lora_alpha": 256,
    "lora_dropout": 0.05,
    "source": "unsafeconcepts",
    "all_questions": False,
    "passes": 4,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 5,
    "responses of an update": 32,
}
TARGETS = {"targets": "restated", "name_concept": True}
PAPER: dict[str, dict[str, Any]] = {
    "paper_sft": {**EVERY, **TARGETS, "learning_rate": 3e-5},
    "paper_dpo": {**EVERY, **TARGETS, "learning_rate": 2e-6, "beta": 0.1},
    "paper": {
        **EVERY,
        "learning_rate": 3e-5,
        "KL coefficient, in rewards of 0 to 1": 0.1,
        "entropy_coef": 0.02,
        "gamma": 1.0,
        "lam": 1.0,
        "critic_lam": 1.0,
        "epsilon": 0.2,
        "epsilon_high": None,
        "cliprange_value": 0.2,
        "critic_warmup": 0,
        "generation_batch_size": 32,
        "num_iterations": 1,
        "temperature": 1.0,
        "max_completion_length": 512,
        "max_grad_norm": 1.0,
        "seed": 42,
    },
}
SCALE = 10.0  # of the published reward, and of the KL penalty beside it


@pytest.mark.parametrize("name", PAPER)
def test_a_recipe_has_the_settings_of_the_paper(name: str) -> None:
    recipe, _ = read_recipe(["--config", name])
    assert recipe.method is not None
    # Where there is no GPU, bfloat16 arithmetic is refused; that the recipe asks for it is read from the recipe itself.
    settings = read_settings(recipe.method, ["--config", name, "--bf16", "false"])
    args = settings.arguments
    told = {**args.to_dict(), **asdict(settings.model), **asdict(settings.data), "bf16": recipe.values["bf16"]}
    told["responses of an update"] = args.per_device_train_batch_size * args.gradient_accumulation_steps
    told["KL coefficient, in rewards of 0 to 1"] = told.get("kl_coef", 0.0) / SCALE
    assert {key: told[key] for key in PAPER[name]} == PAPER[name]


def test_the_reward_is_the_published_one() -> None:
    """Right and wrong are ten apart, however sure the others are, and 512 tokens pay 4.0 times as much."""
    settings = read_settings("ppo", ["--config", "paper", "--bf16", "false"])
    assert settings.rewards is not None
    (reward,), (weight,) = build_rewards(settings.rewards)
    right, wrong, longer = reward(
        completions=["Yes.", "No.", "No."],
        completion_ids=[[], [], [0] * 512],
        prompts=[""] * 3,
        label=["safe"] * 3,
        question=[0] * 3,
    )
    assert weight == 1.0
    assert (right, wrong, longer) == pytest.approx((SCALE, 0.0, SCALE * 4.0))
