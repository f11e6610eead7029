"""What a run computes on, where there is an accelerator: one is made believe, for a test may have none."""

from pathlib import Path

import pytest
import torch
from transformers import training_args

from align import machine
from align.settings import read_settings
from harness_ext.errors import UserError


def found(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setattr(machine, "accelerator", lambda: torch.device(device))
    for each in (machine, training_args):
        monkeypatch.setattr(each, "is_torch_bf16_gpu_available", lambda: device == "cuda")


@pytest.mark.parametrize(
    ("options", "use_cpu", "bf16"),
    [
        ([], False, True),
        (["--use_cpu"], True, False),
        (["--use_cpu=true"], True, False),
        (["--use-cpu", "true"], True, False),
        (["--use_cpu", "false"], False, True),
        (["--fp16=true"], False, False),
        (["--fp16", "false"], False, True),
        (["--use_cpu=true", "--bf16=true"], True, True),
    ],
)
def test_defaults_rest_on_what_was_said(
    options: list[str], use_cpu: bool, bf16: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found(monkeypatch, "cuda")
    args = read_settings("sft", ["--output_dir", str(tmp_path), *options]).arguments
    assert (args.use_cpu, args.bf16, args.dataloader_pin_memory) == (use_cpu, bf16, not use_cpu)


@pytest.mark.parametrize(
    ("text", "use_cpu", "bf16"),
    [
        ("use_cpu: true", True, False),
        ("use_cpu: 'false'", False, True),
        ("fp16: true", False, False),
        ("bf16: false", False, False),
        ("bf16: null", False, True),
    ],
)
def test_defaults_rest_on_the_recipe_too(
    text: str, use_cpu: bool, bf16: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found(monkeypatch, "cuda")
    (tmp_path / "mine.yaml").write_text(f"output_dir: out\n{text}\n")
    args = read_settings("sft", ["--config", str(tmp_path / "mine.yaml")]).arguments
    assert (args.use_cpu, args.bf16) == (use_cpu, bf16)


def test_ppo_does_not_compute_on_mps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found(monkeypatch, "mps")
    ppo = ["--output_dir", str(tmp_path), "--save_steps", "32"]
    args = read_settings("ppo", ppo).arguments
    assert (args.use_cpu, args.bf16, args.dataloader_pin_memory) == (True, False, False)
    assert "computing on the CPU: PPO takes its means in float64, which MPS does not have" in capsys.readouterr().err
    with pytest.raises(UserError, match="use_cpu: false, but PPO takes its means in float64"):
        read_settings("ppo", [*ppo, "--use_cpu", "false"])
    assert read_settings("ppo", [*ppo, "--use_cpu", "true"]).arguments.use_cpu
    assert not read_settings("sft", ["--output_dir", str(tmp_path)]).arguments.use_cpu
    assert capsys.readouterr().err == ""
