"""What is no number stops a run before the weights take a step on it."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from align import commands
from align.folder import WholeCheckpoints
from align.ppo.critic import Critic
from align.run import DPO, GRPO, SFT

QUICK = [
    "--renders", "1",
    "--passes", "1",
    "--max_steps", "4",
    "--per_device_train_batch_size", "2",
    "--gradient_accumulation_steps", "2",
    "--lora_r", "2",
    "--save_steps", "1",
    "--gradient_checkpointing", "false",
    "--report_to", "none",
    "--disable_tqdm", "true",
]  # fmt: skip
ROLLOUTS = ["--max_completion_length", "4", "--num_generations", "2"]


def spoil_loss(loss: torch.Tensor) -> torch.Tensor:
    return loss * torch.nan


def spoil_gradient(loss: torch.Tensor) -> torch.Tensor:
    """A loss of 0, at a point where a root has no slope."""
    return (loss - loss).sqrt() if loss.requires_grad else loss


@pytest.mark.parametrize(
    ("trainer", "method", "more", "spoil", "what"),
    [
        (SFT, "sft", [], spoil_loss, "loss"),
        (SFT, "sft", [], spoil_gradient, "gradient"),
        (DPO, "dpo", [], spoil_loss, "loss"),
        (GRPO, "grpo", ROLLOUTS, spoil_loss, "loss"),
    ],
)
def test_it_stops(
    trainer: type[WholeCheckpoints],
    method: str,
    more: list[str],
    spoil: Any,
    what: str,
    untrained_vlm: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """At the second pass of the third update; the last whole checkpoint stays, and the rows are named."""
    compute = trainer.compute_loss
    passes = []

    def spoilt(self: Any, *args: Any, **kwargs: Any) -> Any:
        passes.append(self.state.global_step)
        loss = compute(self, *args, **kwargs)
        return spoil(loss) if len(passes) == 6 else loss

    monkeypatch.setattr(trainer, "compute_loss", spoilt)
    command = [method, "--model", str(untrained_vlm), "--output_dir", str(tmp_path), *QUICK, *more]
    monkeypatch.setattr(sys, "argv", ["align", *command])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert f"align: stopped at step 2: the {what} is not a finite number: lower learning_rate" in said
    stopped = json.loads((tmp_path / "stopped.json").read_text())
    assert stopped["step"] == 2 and "not a finite number" in stopped["reason"]
    # Of the two passes of an update, the rows of the one whose loss it is; a gradient is of both. A rollout has two prompts.
    assert len(stopped["samples"]) == (4 if what == "gradient" else 2)
    assert all(str(sample["row"]) in said for sample in stopped["samples"])
    assert sorted(each.name for each in tmp_path.iterdir() if not each.name.startswith(".")) == [
        "checkpoint-1", "checkpoint-2", "stopped.json"
    ]  # fmt: skip
    weights = load_file(tmp_path / "checkpoint-2" / "adapter_model.safetensors")
    assert all(bool(tensor.isfinite().all()) for tensor in weights.values())

    if what == "gradient":  # for what was saved is the same as where the loss stopped it
        return
    monkeypatch.setattr(trainer, "compute_loss", compute)
    commands.main()
    assert (tmp_path / "final").is_dir() and not (tmp_path / "stopped.json").exists()


@pytest.mark.parametrize("method", ["sft", "ppo"], ids=["the adapter's", "the value head's"])
def test_weights_that_are_not_finite_are_not_saved(
    method: str,
    untrained_vlm: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The last update's: no loss comes after it."""
    ppo = ["--max_completion_length", "4", "--num_iterations", "1", "--critic_warmup", "0", "--stop_on_na", "false"]
    # An update too large for float32, of a gradient that is not.
    wild = ["--learning_rate", "1e39"] if method == "sft" else ppo
    learn = Critic.learn

    def spoilt(self: Critic, *args: Any) -> float:
        loss = learn(self, *args)
        torch.nn.init.constant_(self.head.value.weight, torch.inf)
        return loss

    monkeypatch.setattr(Critic, "learn", spoilt)
    command = [method, "--model", str(untrained_vlm), "--output_dir", str(tmp_path), *QUICK, "--max_steps", "1", *wild]
    monkeypatch.setattr(sys, "argv", ["align", *command])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 1
    assert "stopped at step 1: the last update made weights that are not finite numbers" in capsys.readouterr().err
    assert json.loads((tmp_path / "stopped.json").read_text())["step"] == 1
    assert [each.name for each in tmp_path.iterdir() if not each.name.startswith(".")] == ["stopped.json"]
