"""Contract tests: what ``align/ppo/surface.py`` says of TRL holds of the TRL that is installed.

A failure here means that TRL changed, not that PPO is wrong: read the section of TRL that the message names, adapt
``align/ppo/trainer.py`` and ``surface.py``, then raise the pinned version in setup.cfg.
"""

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from ppo_runs import settings, trainer
from trl import GRPOTrainer

from align.ppo import surface
from align.ppo.surface import FORWARD_KEYS
from align.ppo.trainer import PPOTrainer


@pytest.mark.parametrize(
    ("method", "first"),
    [
        ("training_step", ["model", "inputs", "num_items_in_batch"]),
        ("_prepare_inputs", ["generation_batch"]),
        ("_generate_and_score_completions", ["inputs"]),
        ("_generate_single_turn", ["prompt_ids"]),
        (
            "_get_per_token_logps_and_entropies",
            ["model", "input_ids", "attention_mask", "logits_to_keep", "batch_size", "compute_entropy"],
        ),
        ("_calculate_rewards", ["inputs", "prompts", "completions", "completion_ids_list"]),
        ("_compute_loss", ["model", "inputs"]),
    ],
)
def test_trl_still_has_what_is_overridden(method: str, first: list[str]) -> None:
    found = list(inspect.signature(getattr(GRPOTrainer, method)).parameters)[1:]
    assert found[: len(first)] == first, f"TRL's GRPOTrainer.{method} takes {found} now"
    assert method in surface.__doc__ and method in PPOTrainer.__dict__


def test_the_forward_pass_takes_the_inputs_that_a_rollout_holds() -> None:
    taken = list(inspect.signature(GRPOTrainer._get_per_token_logps_and_entropies).parameters)
    assert taken[taken.index("compute_aux_loss") + 1 :] == ["pixel_values", *FORWARD_KEYS[1:]], (
        f"inputs of a family of models were added to, or taken from, TRL's forward pass: {taken}"
    )


class Watched(PPOTrainer):
    """Notes what TRL calls while it draws a rollout, and what it gets."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.calls: list[str] = []
        self.passes: list[tuple[bool, torch.Tensor]] = []
        self.batch: dict[str, Any] = {}
        super().__init__(*args, **kwargs)

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append("generate")
        return super()._generate_single_turn(*args, **kwargs)

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            self.calls.append("reference" if self._trunk.is_reference else "policy")
        scored = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if not torch.is_grad_enabled():
            self.passes.append((self._trunk.is_reference, scored[0]))
        return scored

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append("reward")
        return super()._calculate_rewards(*args, **kwargs)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self.batch = super()._generate_and_score_completions(inputs)
        return self.batch


@pytest.fixture(scope="module")
def watched(untrained_vlm: Path, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    args = settings(tmp_path_factory.mktemp("watched"), max_steps=1)
    run = trainer(untrained_vlm, args, count=8, kind=Watched)
    assert isinstance(run, Watched)
    with torch.no_grad():
        for name, each in run.model.named_parameters():
            if "lora_B" in name:
                each.normal_(std=0.5)
    run.train()
    return run


def test_a_rollout_is_drawn_scored_and_rewarded_once(watched: Watched) -> None:
    assert watched.calls == ["generate", "policy", "reference", "reward"], (
        "TRL's _generate_and_score_completions goes another way now"
    )


def test_the_reference_is_the_model_without_its_adapter(watched: Watched) -> None:
    batch, model = watched.batch, watched.model
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    attention = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    width, mask = batch["completion_ids"].shape[1], batch["completion_mask"].bool()
    with torch.no_grad(), model.disable_adapter():
        logits = model(input_ids=ids, attention_mask=attention, pixel_values=batch["pixel_values"]).logits
    expected = logits[:, -width - 1 : -1].log_softmax(-1).gather(-1, batch["completion_ids"][..., None])[..., 0]
    (_, policy), (is_reference, reference) = watched.passes
    assert is_reference
    torch.testing.assert_close(reference[mask], expected[mask], rtol=1e-4, atol=1e-4)
    assert (policy - reference)[mask].abs().max() > 0.01
    assert torch.equal(policy, batch["old_per_token_logps"])


def test_a_rollout_holds_the_keys_that_are_read(watched: Watched) -> None:
    needed = {
        "prompt_ids",
        "prompt_mask",
        "completion_ids",
        "completion_mask",
        "advantages",
        "pixel_values",
        "num_images",
    }
    assert needed <= watched.batch.keys()
    assert watched.batch["advantages"].shape == watched.batch["completion_ids"].shape


def test_rollouts_are_drawn_with_our_noise(untrained_vlm: Path, tmp_path: Path) -> None:
    """The same seed draws the same whatever torch's generators say; another seed draws others."""
    drawn = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        run = trainer(untrained_vlm, settings(tmp_path, seed=seed, max_steps=1), count=8, kind=Watched)
        assert isinstance(run, Watched)
        torch.manual_seed(noise)
        run.train()
        drawn.append(run.batch["completion_ids"])
    assert torch.equal(drawn[0], drawn[1])
    assert drawn[0].shape != drawn[2].shape or not torch.equal(drawn[0], drawn[2])
    assert not hasattr(vars(run.model), "generate")
