"""No answer is cut off: rows longer than `max_length` are refused, or left out and counted."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Image
from PIL import Image as Pictures
from tiny_vlms import FAMILIES, PROMPTS
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

from align import commands
from align.rendering import Collator, Renderer, lengths
from harness_ext.models.loading import load_model, load_processor

QUICK = [
    "--renders", "1",
    "--passes", "2",
    "--max_steps", "2",
    "--per_device_train_batch_size", "2",
    "--lora_r", "2",
    "--save_steps", "1",
    "--gradient_checkpointing", "false",
    "--report_to", "none",
    "--disable_tqdm", "true",
]  # fmt: skip


def picture(width: int, height: int, orientation: int | None = None) -> dict[str, Any]:
    """A JPEG, which may say that it lies on its side."""
    exif = Pictures.Exif()
    if orientation:
        exif[0x0112] = orientation
    file = io.BytesIO()
    Pictures.effect_noise((width, height), 64).convert("RGB").save(file, "jpeg", exif=exif)
    return {"bytes": file.getvalue()}


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "llava_next"])
def test_they_are_those_of_the_trained_tokens(family: str, tmp_path: Path) -> None:
    """Of images of any size, with the longer one of two answers."""
    FAMILIES[family](tmp_path)
    options = {"dtype": "float32", "device": "cpu", "device_map": None, "attn_implementation": None}
    model = load_model(str(tmp_path), revision=None, adapter=None, trust_remote_code=False, **options)
    processor = load_processor(str(tmp_path), None, False, PROMPTS.get(family))
    renderer = Renderer(model, processor, {})
    pictures = [picture(40, 40), picture(120, 40), picture(120, 40, orientation=6), picture(64, 96, orientation=3)]
    (tmp_path / "picture.jpg").write_bytes(pictures[1]["bytes"])
    pictures[1] = {"bytes": None, "path": str(tmp_path / "picture.jpg")}  # as a folder of images is loaded
    asked = ["Is it safe?", "Is it safe?", "Is this image safe for social media?", "Is it safe?"]
    rows = Dataset.from_dict(
        {
            "image": pictures,
            "prompt": [[{"role": "user", "content": each}] for each in asked],
            "chosen": [[{"role": "assistant", "content": each}] for each in ["Yes.", "No. It is not.", "Yes.", "No."]],
            "rejected": [
                [{"role": "assistant", "content": each}] for each in ["No. It is not.", "Yes.", "No.", "Yes."]
            ],
            "row": range(4),
        }
    ).cast_column("image", Image())
    collate = Collator(DataCollatorForVisionPreference(processor), renderer)
    trained = [int(collate([row])["attention_mask"].sum(1).max()) for row in rows]
    assert list(lengths(rows, renderer)) == trained
    assert len(set(trained)) > 1


def align(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> int:
    monkeypatch.setattr(sys, "argv", ["align", *map(str, arguments)])
    try:
        commands.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_too_long_for_max_length(
    method: str,
    untrained_vlm: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    command = [method, "--model", untrained_vlm, "--output_dir", out, *QUICK]
    for length in (20, 60):
        assert align(monkeypatch, *command, "--max_length", length) == 2
        said = capsys.readouterr().err
        assert f"of 120 rows are longer than max_length {length}" in said and "the longest, row " in said
        assert ("--leave_out_long true" in said) is (length == 60)
        assert not [*out.glob("checkpoint-*")]
    assert align(monkeypatch, *command, "--leave_out_long", "true") == 2
    assert "leave_out_long: without effect, for there is no max_length" in capsys.readouterr().err

    assert align(monkeypatch, *command, "--max_length", 60, "--leave_out_long", "true") == 0
    left = json.loads((out / "final" / "run.json").read_text())["left_out"]
    assert 0 < left < 120 and f"left out: {left} of 120 rows, longer than max_length" in capsys.readouterr().err
    assert f"| left out | {left} rows, longer than max_length |" in (out / "final" / "README.md").read_text()
