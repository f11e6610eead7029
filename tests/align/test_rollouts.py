"""TRL's own trainers draw from what they score, whatever generation settings the checkpoint has; PPO: its own tests."""

from pathlib import Path
from typing import Any

import pytest
import torch
from own_settings import OWN_SETTINGS, with_generation_settings

from align import run as runs
from align.settings import read_settings


@pytest.mark.parametrize("own", [OWN_SETTINGS, {"num_beams": 3}], ids=["processors", "beams"])
@pytest.mark.parametrize("method", ["grpo", "rloo"])
def test_a_response_is_drawn_from_what_is_scored(
    method: str, own: dict[str, Any], untrained_vlm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = with_generation_settings(untrained_vlm, tmp_path / "model", own)
    options = ["--config", f"glyphworld_{method}", "--model", str(checkpoint), "--output_dir", str(tmp_path / "out")]
    options += [
        "--renders",
        "1",
        "--lora_r",
        "2",
        "--max_steps",
        "2",
        "--save_steps",
        "2",
        "--max_completion_length",
        "8",
    ]
    options += ["--report_to", "none", "--disable_tqdm", "true"]
    drawn: list[torch.Tensor] = []
    rollout: dict[str, torch.Tensor] = {}
    draw = torch.multinomial
    kind = runs.TRAINERS[method]
    generate = kind._generate_and_score_completions

    def noting(probabilities: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        drawn.append(probabilities.log())
        return draw(probabilities, *args, **kwargs)

    def noted(trainer: Any, inputs: Any) -> dict[str, torch.Tensor]:
        with monkeypatch.context() as patched:
            patched.setattr(torch, "multinomial", noting)
            rollout.update(generate(trainer, inputs))
        return rollout

    monkeypatch.setattr(kind, "_generate_and_score_completions", noted)
    runs.run(read_settings(method, options), f"align {method}")
    ids, mask = rollout["completion_ids"], rollout["completion_mask"].bool()
    assert mask.sum() > 4 * len(ids)
    at_drawing = torch.stack(drawn, dim=1).gather(-1, ids[..., None])[..., 0]
    if method == "grpo":
        apart = (at_drawing - rollout["old_per_token_logps"])[mask]
    else:  # which keeps their sums, of a response
        apart = (torch.where(mask, at_drawing, 0.0).sum(1) - rollout["old_logps"]) / mask.sum(1)
    assert apart.abs().max() < 1e-4
