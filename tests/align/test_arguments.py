"""The trainer's arguments: the processes of a run, what each of them sees, and the device it computes on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import align_commands
import pytest
import torch
from transformers import training_args

from align import arguments
from align.arguments import check_arguments, check_last_batch
from align.settings import read_settings
from harness_ext.common.errors import UserError


def test_one_process_with_several_gpus_is_refused(tmp_path: Path) -> None:
    args = read_settings("sft", ["--output_dir", str(tmp_path)]).arguments
    args._n_gpu = 2  # as transformers counts them
    with pytest.raises(UserError, match=r"this one sees 2: let it see one \(CUDA_VISIBLE_DEVICES=0\), or start"):
        check_arguments(args, has_rollouts=False)


def test_one_process_takes_rows_that_fill_no_batch(tmp_path: Path) -> None:
    args = read_settings("sft", ["--output_dir", str(tmp_path), "--per_device_train_batch_size", "25"]).arguments
    check_last_batch(args, 120)


def test_no_row_is_trained_on_twice_by_two_processes(untrained_vlm: Path, tmp_path: Path) -> None:
    """Of 120 rows in batches of 25 and 25 the last 20 would be filled up with the first 30."""
    quick = ["--lora_r", "2", "--use_cpu", "true", "--report_to", "none", "--gradient_checkpointing", "false"]
    sft = ["sft", "--model", str(untrained_vlm), "--renders", "1", "--passes", "1", *quick]
    attempts = {"refused": [], "dropped": ["--dataloader_drop_last", "true"], "cut": ["--max_steps", "2"]}
    given = [
        [*sft, "--per_device_train_batch_size", "25", "--output_dir", str(tmp_path / name), *more]
        for name, more in attempts.items()
    ]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    run = subprocess.run(
        [*launcher, align_commands.__file__, json.dumps(given)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert json.loads(run.stdout.splitlines()[-1]) == [2, 0, 0], run.stderr[-3000:]
    assert not (tmp_path / "refused").exists()
    assert "120 rows (all passes) do not fill batches of 25 on 2 processes" in run.stderr
    assert "--dataloader_drop_last true to leave the last 20 out" in run.stderr
    for name in ("dropped", "cut"):
        assert json.loads((tmp_path / name / "final" / "run.json").read_text())["step"] == 2


# --- the device: an accelerator is made believe, for the machine of a test may have none ------------------------------


def found(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setattr(arguments, "accelerator", lambda: torch.device(device))
    for each in (arguments, training_args):
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
