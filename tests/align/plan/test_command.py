"""`align plan` on LLaVA-1.5's shapes: the paper's recipes without a network, and what each way spreads."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from align import commands

SHAPES = Path(__file__).parents[3] / "benchmarks" / "plan"
GIB = 2**30


def plan(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The command's exit status."""
    monkeypatch.setattr(sys, "argv", ["align", "plan", *map(str, arguments)])
    try:
        commands.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A plan's figures, by way and checkpointing, and the rest of its JSON."""

    def made(*arguments: object) -> tuple[dict[tuple[str, bool], dict[str, int]], dict[str, Any]]:
        file = tmp_path / "plan.json"
        assert plan(monkeypatch, *arguments, "--json", file) == 0
        content = json.loads(file.read_text())
        return {(each["way"], each["checkpointing"]): each for each in content["ways"]}, content

    return made


def test_the_papers_recipe_without_a_network(planned: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """7,063 million weights in two bytes, 320 million of a LoRA in four; a rollout's keys and values are half of the need."""
    ways, content = planned("paper", "--model_config", SHAPES / "llava-1.5-7b.json", "--memory", 24)
    whole = ways["one GPU", True]
    assert whole["weights"] == pytest.approx(2 * 7_063e6, rel=0.001)
    assert whole["adapter"] == 4 * 319_815_680
    assert whole["optimiser"] == 2 * whole["adapter"]
    rows = content["rows"]
    assert rows["rollout"] == 32 and rows["answer"] == 512 and rows["prompt"] > 576
    keys_and_values = 2 * 2 * 32 * 4096 * 32 * (rows["prompt"] + rows["answer"])
    assert keys_and_values < whole["drawing"] < 1.1 * keys_and_values
    assert ways["QLoRA", True]["weights"] < 0.35 * whole["weights"]
    assert ways["one GPU", False]["update"] > 5 * whole["update"]
    said = capsys.readouterr().out
    assert "its text counted by glyph-vlm's tokenizer" in said
    assert "nothing fits in 24 GiB: lower per_device_train_batch_size, steps_per_generation" in said
    assert content["first"] is None


@pytest.mark.parametrize("recipe", ["paper_sft", "paper_dpo"])
def test_the_first_way_that_fits_is_named(recipe: str, planned: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shapes = ["--model_config", SHAPES / "llava-1.5-13b.json"]
    ways, content = planned(recipe, *shapes, "--memory", 40, "--per_device_train_batch_size", 1)
    assert content["first"] == {"way": "one GPU", "checkpointing": True}
    assert ways["one GPU", True]["peak"] < 39 * GIB < ways["one GPU", False]["peak"]
    command = f"align {recipe[6:]} --config {recipe} --per_device_train_batch_size 1 --gradient_checkpointing true"
    assert command in capsys.readouterr().out


def test_what_is_spread_over_gpus(planned: Any, capsys: pytest.CaptureFixture[str], wider_vlm: Path) -> None:
    model = ["--model", wider_vlm, "--dtype", "bfloat16", "--lora_r", 8]
    ways, _ = planned("paper_fixed", *model, "--gpus", 4, "--memory", 80)
    one, _ = planned("paper_fixed", *model)
    whole, ddp = one["one GPU", True], ways["DDP", True]
    assert ddp["buffers"] == whole["buffers"] + whole["gradients"]
    for way in ("FSDP2", "ZeRO-3"):
        assert ways[way, True]["weights"] == whole["weights"] // 4
    assert ways["ZeRO-2", True]["weights"] == whole["weights"]
    assert ways["FSDP2", True]["optimiser"] == whole["optimiser"] // 4
    # Every process replays the rollouts of all.
    assert ddp["critic"] > 3 * whole["critic"] / 2
    said = capsys.readouterr().out
    assert "accelerate launch --num_processes 4 -m align.commands ppo --config paper_fixed" in said

    ways, _ = planned("paper_fixed", *model, "--load_in_4bit", "true", "--gpus", 4)
    assert {way for way, _ in ways} == {"QLoRA"}


def test_it_reads_what_the_rows_and_targets_are(planned: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """In words there is no image to count; an answer that the model is told has own_tokens; vLLM need not be installed."""
    _, shown = planned("glyphworld_sft")
    _, words = planned("glyphworld_text")
    assert words["rows"]["prompt"] < shown["rows"]["prompt"] and words["rows"]["pixels"] is None
    assert "rows in words" in capsys.readouterr().out
    _, told = planned("glyphworld_distil", "--own_tokens", 90)
    assert told["rows"]["answer"] == 90 > shown["rows"]["answer"]
    _, mine = planned("glyphworld_ppo", "--gpus", 2, "--generation_batch_size", 64, "--per_device_train_batch_size", 32)
    assert mine["rows"]["rollout"] == 32
    capsys.readouterr()
    planned("glyphworld_ppo", "--use_vllm=true", "--gpus", 2)
    said = " ".join(capsys.readouterr().out.split())
    assert "rollouts are vLLM's" in said and "divide gradient_accumulation_steps and steps_per_generation by 2" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["paper"], "--model_config FILE, the config.json of a model of the same architecture"),
        (["paper", "--gpus", "0"], "--gpus: expected a positive number, found 0"),
        (["paper", "--answer_tokens", "9"], "--answer_tokens: of SFT and DPO"),
        (["papr"], "there is no recipe 'papr'"),
        (["paper", "--learning_rat", "1"], "unknown option '--learning_rat'; did you mean --learning_rate?"),
        (["paper", "--model_config", __file__], "test_command.py"),
    ],
)
def test_what_cannot_be_planned(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan(monkeypatch, *arguments) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said
