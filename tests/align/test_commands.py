"""The `align` command as a user meets it: help, errors, a run, the same run again."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from safetensors.torch import load_file

from align import commands
from harness_ext.models.loading import check_adapter, load_model

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
    """When the first of the libraries that read the variable is asked for, it is set."""
    code = (
        "import os, sys; os.environ.pop('HF_HUB_DISABLE_TELEMETRY', None)\n"
        "class First:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name in ('huggingface_hub', 'transformers', 'trl'):\n"
        "            print(name, os.environ.get('HF_HUB_DISABLE_TELEMETRY'), flush=True); os._exit(0)\n"
        "sys.meta_path.insert(0, First())\n"
        "import align.commands\n"
        "sys.argv = ['align', 'sft', '--config', 'glyphworld_sft', '--passes', '0']\n"
        "align.commands.main()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert run.stdout.split()[1:] == ["1"], run.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "no command 'train'"),
        (["sft", "--config"], "--config is not followed by a recipe"),
        (["sft", "--config", "glyphword_sft"], r"there is no recipe 'glyphword_sft'.*; did you mean glyphworld_sft\?"),
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
    assert "glyphworld, a stand-in, not the benchmark" in shown
    assert "120" in shown and "3 passes" in shown


def sft(model: Path, out: Path) -> list[str]:
    return ["sft", "--model", str(model), "--output_dir", str(out), *QUICK, "--use_cpu", "true", "--bf16", "false"]


@pytest.fixture(scope="module")
def plain(untrained_vlm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of SFT, through, with a token in the environment."""
    out = tmp_path_factory.mktemp("plain") / "out"
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(said):
        patched.setenv("HF_TOKEN", "hf_SECRET")
        assert align(patched, *sft(untrained_vlm, out)) == 0
    assert f"finished: {out / 'final'}" in said.getvalue()
    return out


def test_what_a_run_writes(untrained_vlm: Path, plain: Path) -> None:
    assert sorted(each.name for each in plain.iterdir()) == [".align", ".lock", "checkpoint-1", "checkpoint-2", "final"]
    assert not [each for each in plain.rglob("*") if each.is_file() and b"hf_SECRET" in each.read_bytes()]
    final = plain / "final"
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


def test_the_same_run_again(
    untrained_vlm: Path,
    plain: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = Path(shutil.copytree(plain, tmp_path / "out"))
    command, final = sft(untrained_vlm, out), out / "final"
    assert align(monkeypatch, *command) == 0
    assert "there is nothing to do: the run is finished" in capsys.readouterr().out

    assert align(monkeypatch, *command, "--renders", "2", "--adam_beta1", "0.8") == 2
    said = capsys.readouterr().err
    assert "renders: 1 there, 2 now" in said and "adam_beta1: 0.9 there, 0.8 now" in said and "--overwrite" in said
    assert (final / "run.json").is_file()

    assert align(monkeypatch, *command, "--adam_beta1", "0.8", "--overwrite") == 0
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
    assert align(monkeypatch, *sft(tmp_path, tmp_path / "out"), "--report_to", where) == 2
    assert re.search(message, capsys.readouterr().err)


def test_accelerate_launches_it(untrained_vlm: Path, plain: Path, tmp_path: Path) -> None:
    """The same bits come out as without it."""
    launcher = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--cpu", "--num_processes", "1"]
    run = subprocess.run(
        [*launcher, "-m", "align.commands", *sft(untrained_vlm, tmp_path / "launched")],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    launched, alone = (
        load_file(each / "final" / "adapter_model.safetensors") for each in (tmp_path / "launched", plain)
    )
    assert launched.keys() == alone.keys() and all((launched[name] == alone[name]).all() for name in alone)
