"""The commands for several processes take rollouts and updates of the recipe's own size."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainingArguments

import align.commands
from align.recipe import read_recipe
from align.settings import read_settings

STARTERS = ("torchrun", "accelerate launch")
README = Path(__file__).parents[2] / "align" / "README.md"


def started(text: str) -> list[list[str]]:
    """The words of every command in a text that starts several processes."""
    lines = text.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith(STARTERS)]


def in_prose(text: str) -> list[list[str]]:
    """What the README says of the baselines, on four processes."""
    found = re.search(r"paper_sft: `--gradient_accumulation_steps (\d+)` on four; paper_dpo: (\d+)", text)
    assert found is not None
    start = ["torchrun", "--nproc_per_node", "4", "-m", "align.commands"]
    return [
        [*start, method, "--config", f"paper_{method}", "--gradient_accumulation_steps", value]
        for method, value in zip(("sft", "dpo"), found.groups(), strict=True)
    ]


def sizes(words: list[str], processes: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a process of so many is told, as sizes over all of them; TRL computes that of a rollout."""
    with monkeypatch.context() as patched:
        patched.setattr(TrainingArguments, "world_size", processes)
        args = read_settings(words[0], [*words[1:], "--bf16", "false"]).arguments
    rollout = getattr(args, "generation_batch_size", None)
    update = args.per_device_train_batch_size * args.gradient_accumulation_steps * processes
    return {"rollout": rollout, "update": update, "updates a rollout": getattr(args, "updates_per_rollout", None)}


def commands() -> list[list[str]]:
    readme = README.read_text(encoding="utf-8")
    found = [*started(readme), *in_prose(readme), *started(align.commands.__doc__ or "")]
    assert len(found) == 5
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_a_command_reproduces_its_recipe(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    at = command.index("align.commands") + 1
    (option,) = {"--nproc_per_node", "--num_processes"} & {*command}
    processes = int(command[command.index(option) + 1])
    recipe, _ = read_recipe(command[at:])
    alone = sizes([command[at], "--config", recipe.name], 1, monkeypatch)
    assert processes > 1
    assert sizes(command[at:], processes, monkeypatch) == alone
