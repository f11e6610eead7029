"""What a plan says against what runs take: the peak of the bytes that torch allocates while small VLMs train on the CPU."""

import gc
import json
import sys
from collections.abc import Iterable
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

import align.run
from align import commands
from align.folder import RunFolder, WholeCheckpoints
from align.settings import read_settings

STEPS = [
    "--renders", "1",
    "--max_steps", "4",
    "--save_steps", "4",
    "--per_device_train_batch_size", "4",
    "--gradient_accumulation_steps", "1",
    "--lora_r", "8",
    "--use_cpu", "true",
    "--report_to", "none",
    "--disable_tqdm", "true",
]  # fmt: skip
ANSWER = 16
ROLLOUTS = [
    "--max_completion_length", str(ANSWER),
    "--steps_per_generation", "2",
    "--num_iterations", "1",
    "--critic_warmup", "0",
    "--critic_replay", "2",
    "--stop_on_na", "false",
]  # fmt: skip


def unique_bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum({each.untyped_storage()._cdata: each.untyped_storage().nbytes() for each in tensors}.values())


def measured(monkeypatch: pytest.MonkeyPatch, method: str, options: list[str]) -> tuple[int, int]:
    """The most bytes of tensors during a run, and the most tokens of a sequence in it.

    The bytes are those of the model and the critic before the first step, and what was allocated since.
    """
    found: list[tuple[int, int]] = []
    train = align.run._train

    def train_measured(trainer: WholeCheckpoints, last: Path | None, folder: RunFolder) -> None:
        lengths: list[int] = []
        note = partial(note_length, lengths)
        trainer.model.register_forward_pre_hook(note, with_kwargs=True)
        modules: list[Any] = [trainer.model, *([trainer.value_head] if hasattr(trainer, "value_head") else [])]
        before = unique_bytes(each for module in modules for each in (*module.parameters(), *module.buffers()))
        gc.collect()  # what is let go later would count as this run's
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as followed:
            train(trainer, last, folder)
        events = [each for each in followed.profiler.kineto_results.events() if each.name() == "[memory]"]
        changes = [each.nbytes() for each in sorted(events, key=lambda each: each.start_ns())]
        found.append((before + max(accumulate(changes)), max(lengths)))

    monkeypatch.setattr(align.run, "_train", train_measured)
    align.run.run(read_settings(method, options), "align")
    return found[0]


def note_length(lengths: list[int], _: Any, __: Any, inputs: dict[str, Any]) -> None:
    lengths.append(inputs["input_ids"].shape[1])


@pytest.mark.parametrize("method", ["sft", "dpo", "ppo"])
@pytest.mark.parametrize(
    ("model", "dtype", "checkpointing"),
    [
        ("untrained_vlm", "float32", "false"),
        ("untrained_vlm", "bfloat16", "true"),
        ("wider_vlm", "float32", "true"),
        ("wider_vlm", "bfloat16", "false"),
    ],
)
def test_a_plan_is_within_5_percent_of_a_run(
    method: str,
    model: str,
    dtype: str,
    checkpointing: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = request.getfixturevalue(model)
    given = ["--model", str(folder), "--dtype", dtype, "--bf16", str(dtype == "bfloat16").lower(), *STEPS]
    given += [*(ROLLOUTS if method == "ppo" else []), "--output_dir", str(tmp_path / "out")]
    peak, length = measured(monkeypatch, method, [*given, "--gradient_checkpointing", checkpointing])
    recipe, planned = tmp_path / "recipe.yaml", tmp_path / "plan.json"
    recipe.write_text(f"method: {method}\n")
    # The longest rows that a run may have are not among those of a few steps.
    lengths = ["--prompt_tokens", length - ANSWER, *([] if method == "ppo" else ["--answer_tokens", ANSWER])]
    command = ["align", "plan", recipe, "--json", planned, *lengths, *given]
    monkeypatch.setattr(sys, "argv", list(map(str, command)))
    commands.main()
    plan = {each["checkpointing"]: each["peak"] for each in json.loads(planned.read_text())["ways"]}
    assert plan[checkpointing == "true"] == pytest.approx(peak, rel=0.05)
