"""PPO on tiny random models of other families: tiles, windows, positions in three dimensions, other decoders."""

from pathlib import Path
from typing import Any

import ppo_runs
import pytest
import torch
from tiny_vlms import FAMILIES

# Those that TRL's own preparation of inputs does not serve (it drops an input, wants equal lengths, or no bfloat16).
NOT_BY_TRL = {
    "llava_onevision",
    "mllama",
    "ovis2",
    "deepseek_vl",
    "llava-pixtral",
    "mistral3",
    "molmo2",
    "minicpmv4_6",
    "llama4",
}
# Without a chat template, without a decoder's stack of layers, or of shapes of their own.
NOT_HERE = {
    "blip-2",
    "blip-2-t5",
    "instructblip",
    "instructblip-t5",
    "paligemma",
    "gemma3n",
    "kimi_k25",
    "phi4_multimodal",
}
NAMES = sorted(FAMILIES.keys() - NOT_BY_TRL - NOT_HERE)


@pytest.mark.parametrize("family", NAMES)
def test_a_family_is_trained(family: str, tmp_path: Path) -> None:
    """One rollout, two passes: only the language model's LoRA moves, the first ratio is 1, what was drawn is scored."""
    FAMILIES[family](tmp_path / "model")
    args = ppo_runs.settings(tmp_path / "out", max_steps=4, max_completion_length=4)
    run = ppo_runs.trainer(tmp_path / "model", args, count=8, kind=ppo_runs.Noted)
    assert isinstance(run, ppo_runs.Noted)
    before: dict[str, Any] = {name: each.detach().clone() for name, each in run.model.named_parameters()}
    run.train()
    moved = [name for name, each in run.model.named_parameters() if not torch.equal(each, before[name])]
    assert moved and all("lora_" in name and "vision" not in name for name in moved)
    deviation = max(entry["ppo/first_ratio_deviation"] for entry in run.state.log_history if "ppo/kl" in entry)
    assert deviation < 1e-4
    assert run.apart() < 1e-4
