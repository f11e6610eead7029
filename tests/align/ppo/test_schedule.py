"""The learning rate over a run: with the critic's warm-up among its steps, and after it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from ppo_runs import settings, trainer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from transformers import get_scheduler

from align.ppo.config import PPOConfig
from align.ppo.schedule import hold_back
from align.settings import read_settings
from harness_ext.common.errors import UserError


def rates(vlm: Path, args: PPOConfig, steps: int) -> list[float]:
    """The rate of every optimiser step, from the trainer's own scheduler."""
    run = trainer(vlm, args, count=64)
    run.create_optimizer_and_scheduler(steps)
    found = []
    for _ in range(steps):
        found.append(run.optimizer.param_groups[0]["lr"])
        run.optimizer.step()
        run.lr_scheduler.step()
    return found


def as_in(recipe: str, folder: Path, **changes: Any) -> PPOConfig:
    """A tiny run with the schedule of a packaged recipe."""
    told = read_settings("ppo", ["--config", recipe, "--bf16", "false"]).arguments
    kept = ("learning_rate", "lr_scheduler_type", "warmup_steps", "critic_warmup", "critic_warmup_in_schedule")
    kept += ("per_device_train_batch_size", "gradient_accumulation_steps", "steps_per_generation", "num_iterations")
    return settings(folder, **{name: getattr(told, name) for name in kept}, **changes)


def test_the_corrected_recipe_begins_as_the_paper_does(untrained_vlm: Path, tmp_path: Path) -> None:
    args = as_in("paper_fixed", tmp_path)
    held = 4 * args.updates_per_rollout
    found = rates(untrained_vlm, args, 400)
    assert held == 32 and found[:held] == [0.0] * held
    assert found[held : held + 6] == pytest.approx([3e-5 * at / 5 for at in range(6)])
    # After it nothing is left of the warm-up: a run of so many steps fewer, of the paper's own settings.
    paper = as_in("paper", tmp_path)
    assert found[held:] == pytest.approx(rates(untrained_vlm, paper, 400 - held))


def test_the_stand_ins_rate_decays_from_the_first_step(untrained_vlm: Path, tmp_path: Path) -> None:
    found = rates(untrained_vlm, as_in("glyphworld_ppo", tmp_path), 40)
    assert found == pytest.approx([1.5e-4 * (1 - step / 40) for step in range(40)])


def test_a_schedule_that_was_held_back_goes_on(tmp_path: Path) -> None:
    def scheduler() -> Any:
        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        made = get_scheduler("cosine", optimizer, num_warmup_steps=2, num_training_steps=10)
        hold_back(made, 3)
        return made

    def steps(of: Any, count: int) -> list[float]:
        found = []
        for _ in range(count):
            of.optimizer.step()
            of.step()
            found.append(of.get_last_lr()[0])
        return found

    whole, first, second = steps(scheduler(), 12), scheduler(), scheduler()
    assert steps(first, 5) == whole[:5]
    torch.save(first.state_dict(), tmp_path / "scheduler.pt")
    second.load_state_dict(torch.load(tmp_path / "scheduler.pt"))
    assert steps(second, 7) == whole[5:]


def test_a_schedule_that_looks_at_a_figure_cannot_wait() -> None:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
    with pytest.raises(UserError, match="a function of the step, found ReduceLROnPlateau"):
        hold_back(ReduceLROnPlateau(optimizer), 3)
