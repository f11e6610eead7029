"""The rows in words only: the same ones, trained on by every method without an image."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from transformers import LlavaForConditionalGeneration

from align import commands
from align.data import describe, fingerprint, training_rows, with_targets
from align.settings import DataConfig, read_settings
from harness_ext.benchmark.questions import text_question
from harness_ext.common.errors import UserError

QUICK = {
    "renders": 1, "passes": 1, "max_steps": 4, "per_device_train_batch_size": 4, "lora_r": 2, "save_steps": 4,
    "gradient_checkpointing": "false", "report_to": "none", "disable_tqdm": "true", "modality": "text",
}  # fmt: skip


def options(model: Path, out: Path, **changes: Any) -> list[str]:
    given = {**QUICK, "model": model, "output_dir": out, **changes}
    return [str(word) for key, value in given.items() for word in (f"--{key}", value)]


def test_the_same_rows_in_words() -> None:
    shown = training_rows(DataConfig(renders=2, passes=1, targets="short"))
    config = DataConfig(renders=2, passes=1, targets="short", modality="text")
    rows = training_rows(config)
    assert rows.column_names == [*(name for name in shown.column_names if name != "image"), "images"]
    assert rows.remove_columns(["images", "prompt"]).to_list() == shown.remove_columns(["image", "prompt"]).to_list()
    for row in rows:
        assert row["images"] == []
        asked = text_question(row["question"], row["concept"])
        assert row["prompt"] == [{"role": "user", "content": asked}]
    targets = [with_targets(each, config, "sft")["completion"][:] for each in (rows, shown)]
    assert targets[0] == targets[1]
    assert fingerprint(rows) != fingerprint(shown) and fingerprint(rows) == fingerprint(training_rows(config))
    assert "If an image shows" in describe(config)


@pytest.mark.parametrize("method", ["sft", "dpo", "ppo", "grpo"])
def test_every_method_trains_without_an_image(
    method: str, untrained_vlm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_method: dict[str, dict[str, Any]] = {
        "sft": {"max_length": 300},
        "ppo": {"stop_on_na": "false", "critic_warmup": 0, "max_completion_length": 4},
        "grpo": {"num_generations": 2, "max_completion_length": 4},
    }
    looked = []
    sees = LlavaForConditionalGeneration.get_image_features
    monkeypatch.setattr(
        LlavaForConditionalGeneration,
        "get_image_features",
        lambda *args, **kwargs: looked.append(1) or sees(*args, **kwargs),  # type: ignore[func-returns-value]
    )
    given = options(untrained_vlm, tmp_path / "out", **of_method.get(method, {}))
    monkeypatch.setattr(sys, "argv", ["align", method, *given])
    commands.main()
    record = json.loads((tmp_path / "out" / "final" / "run.json").read_text())
    assert (record["step"], record["data"]["rows"], record["data"]["modality"]) == (4, 120, "text")
    assert not looked
    if method == "sft":  # what a reward pays, an untrained model may never earn
        adapter = load_file(tmp_path / "out" / "final" / "adapter_model.safetensors")
        assert any("lora_B" in name and each.any() for name, each in adapter.items())


@pytest.mark.parametrize(
    ("method", "changes"), [("ppo", {"anchor": 0.25}), ("sft", {"counterfactual": "true"})], ids=["anchor", "pairs"]
)
def test_what_is_about_images_is_refused(method: str, changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="it is about images, and modality is text"):
        read_settings(method, options(tmp_path, tmp_path / "out", **changes))
