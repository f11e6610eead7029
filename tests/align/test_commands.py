"""The `align` command as a user meets it: help, errors, a run, the same run again."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from align import commands
from harness_ext.models.adapters import check_adapter
from harness_ext.models.loading import load_model

QUICK = [
    "--renders", "1",
    "--passes", "1",
    "--max_steps", "2",
    "--per_device_train_batch_size", "2",
    "--lora_r", "2",
    "--learning_rate", "1e-2",
    "--save_steps", "1",
    "--gradient_checkpointing", "false",
    "--report_to", "none",
    "--disable_tqdm", "true",
]  # fmt: skip


def align(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """The command's exit status."""
    monkeypatch.setattr(sys, "argv", ["align", *map(str, arguments)])
    try:
        commands.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_help_is_quick_and_lists_the_recipes() -> None:
    code = (
        "import sys, align.commands; sys.argv = ['align', '--help']; align.commands.main(); print(sorted(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    usage, _, modules = shown.rpartition("\n[")
    assert "paper_fixed" in usage and "align data --config RECIPE" in usage
    assert "'align.recipe'" in modules
    assert not any(f"'{name}'" in modules for name in ("torch", "transformers", "trl", "datasets", "huggingface_hub"))


def test_telemetry_is_off_before_trl_is_there(tmp_path: Path) -> None:
    code = (
        "import os, sys; os.environ.pop('HF_HUB_DISABLE_TELEMETRY', None); import align.commands\n"
        "sys.argv = ['align', 'sft', '--config', 'glyphworld_sft', '--passes', '0']\n"
        "try: align.commands.main()\n"
        "except SystemExit: pass\n"
        "import trl, huggingface_hub.constants; print(huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert run.stdout.strip() == "True" and "expected passes" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "no command 'train'"),
        (["sft", "--config"], "--config is not followed by a recipe"),
        (["sft", "--config", "glyphword_sft"], r"there is no recipe 'glyphword_sft'.* Did you mean glyphworld_sft\?"),
        (["sft", "--config", "glyphworld_ppo"], "glyphworld_ppo is a recipe of ppo: run `align ppo` with it"),
        (
            ["data", "--config", "glyphworld_ppo", "--render", "3"],
            r"unknown option '--render'; did you mean --renders\?",
        ),
        (["sft", "--renders", "1"], "output_dir is missing"),
    ],
)
def test_what_cannot_be_is_said_with_status_2(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert align(monkeypatch, *arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("align: ") and "Traceback" not in said
    assert re.search(message, said), said


def test_data_shows_the_rows_of_any_recipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert align(monkeypatch, "data", "--config", "glyphworld_dpo", "--renders", "1", "--passes", "3") == 0
    shown = capsys.readouterr().out
    assert "glyphworld, a stand-in and not the benchmark" in shown
    assert "120" in shown and "3 passes" in shown


def test_a_run_and_the_same_one_again(
    untrained_vlm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_SECRET")
    out = tmp_path / "out"
    sft = ["sft", "--model", str(untrained_vlm), "--output_dir", str(out), *QUICK]
    assert align(monkeypatch, *sft) == 0
    assert f"finished: {out / 'final'}" in capsys.readouterr().out
    assert sorted(each.name for each in out.iterdir()) == [".align", ".lock", "checkpoint-1", "checkpoint-2", "final"]

    assert not [each for each in out.rglob("*") if each.is_file() and b"hf_SECRET" in each.read_bytes()]
    final = out / "final"
    record = json.loads((final / "run.json").read_text())
    assert record["method"] == "sft" and record["step"] == 2 and record["data"]["rows"] == 120
    assert record["command"].startswith(f"align sft --model {untrained_vlm}")
    card = (final / "README.md").read_text()
    assert "**Glyphworld is a stand-in, not the benchmark.**" in card and record["data"]["fingerprint"] in card

    # What an evaluation does with it.
    check_adapter(str(final), str(untrained_vlm))
    options = {"revision": None, "dtype": "float32", "device": "cpu", "device_map": None, "attn_implementation": None}
    load_model(str(untrained_vlm), adapter=str(final), trust_remote_code=False, **options)
    trained = load_file(final / "adapter_model.safetensors")
    assert trained and all("language_model" in name for name in trained)
    assert any(tensor.any() for name, tensor in trained.items() if "lora_B" in name)

    assert align(monkeypatch, *sft) == 0
    assert "there is nothing to do: the run is finished" in capsys.readouterr().out

    assert align(monkeypatch, *sft, "--renders", "2", "--adam_beta1", "0.8") == 2
    said = capsys.readouterr().err
    assert "renders: 1 there, 2 now" in said and "adam_beta1: 0.9 there, 0.8 now" in said and "--overwrite" in said
    assert (final / "run.json").is_file()

    assert align(monkeypatch, *sft, "--adam_beta1", "0.8", "--overwrite") == 0
    assert json.loads((final / "run.json").read_text())["arguments"]["adam_beta1"] == 0.8


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("wandb", "report_to: wandb: .*\nRun `wandb login` or set WANDB_API_KEY; WANDB_MODE=offline"),
        ("mlflow", "report_to: mlflow: its package is not installed"),
        ("wandbb", "report_to: wandbb is not supported, only .*wandb"),
    ],
)
def test_what_cannot_be_reported_to_is_said_at_once(
    where: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before a model is looked for: here there is none."""
    for variable in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DISABLED", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("HOME", "NETRC", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / "nobody"))
    sft = ["sft", "--model", str(tmp_path), "--output_dir", str(tmp_path / "out"), *QUICK, "--report_to", where]
    assert align(monkeypatch, *sft) == 2
    assert re.search(message, capsys.readouterr().err)


def test_accelerate_launches_it(untrained_vlm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bits come out as without it."""
    sft = ["sft", "--model", str(untrained_vlm), *QUICK, "--use_cpu", "true", "--bf16", "false"]
    launcher = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--cpu", "--num_processes", "1"]
    run = subprocess.run(
        [*launcher, "-m", "align.commands", *sft, "--output_dir", str(tmp_path / "launched")],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert align(monkeypatch, *sft, "--output_dir", tmp_path / "plain") == 0
    launched, plain = (
        load_file(tmp_path / each / "final" / "adapter_model.safetensors") for each in ("launched", "plain")
    )
    assert launched.keys() == plain.keys() and all((launched[name] == plain[name]).all() for name in plain)
