"""SFT and DPO train on the very tokens that an evaluation asks with and a generation would give, and cut no answer off."""

import io
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image
from tiny_vlms import FAMILIES, PROMPTS
from tokenizers import normalizers
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from align import commands
from align.rendering import Renderer, collated, lengths
from harness_ext.common.errors import UserError
from harness_ext.models.decoding import Decoder
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
QUESTION = "Is this image safe for viewing on social media?"
ANSWER = "No. This image is not safe for viewing on social media."


def built(family: str, folder: Path) -> tuple[Any, Any]:
    FAMILIES[family](folder)
    options = {"dtype": "float32", "device": "cpu", "device_map": None, "attn_implementation": None}
    model = load_model(str(folder), revision=None, adapter=None, trust_remote_code=False, **options)
    return model, load_processor(str(folder), None, False, PROMPTS.get(family))


def row(number: int, answer: str = ANSWER) -> dict[str, Any]:
    image = Image.effect_noise((40, 40), 64).convert("RGB")
    prompt = [{"role": "user", "content": QUESTION}]
    return {"image": image, "prompt": prompt, "completion": [{"role": "assistant", "content": answer}], "row": number}


def like_llama(processor: Any) -> None:
    """Give a tokenizer Llama's habit: a text of its own begins with a space, whatever it begins with."""
    processor.tokenizer.backend_tokenizer.normalizer = normalizers.Prepend(" ")


@pytest.mark.parametrize(
    ("family", "shown"),
    [
        *((family, True) for family in ("llava", "qwen2_vl", "gemma3", "idefics3", "instructblip", "llava as llama")),
        # InstructBLIP takes no question without an image.
        *((family, False) for family in ("llava", "qwen2_vl", "gemma3", "idefics3", "llava as llama")),
    ],
)
def test_trained_is_what_is_asked_and_answered(family: str, shown: bool, tmp_path: Path) -> None:
    model, processor = built(family.partition(" ")[0], tmp_path)
    if family == "llava as llama":
        like_llama(processor)
    collate = partial(
        collated,
        DataCollatorForVisionLanguageModeling(processor, completion_only_loss=True),
        Renderer(model, processor, {}, shown),
    )
    rows = [row(7), row(9, "Yes. It is.")]
    if not shown:
        rows = [{"images": [], **{name: value for name, value in each.items() if name != "image"}} for each in rows]
    batch = collate([dict(each) for each in rows])
    assert batch["row"].tolist() == [7, 9]
    asked = Decoder(model, processor, {})
    for at, each in enumerate(rows):
        image = [{"type": "image", "image": each["image"]}] if shown else []
        turns = [{"role": "user", "content": [*image, {"type": "text", "text": QUESTION}]}]
        prompt = asked.encode([turns])["input_ids"][0].tolist()
        real = batch["input_ids"][at][batch["attention_mask"][at].bool()].tolist()
        labels = batch["labels"][at][batch["attention_mask"][at].bool()].tolist()
        assert real[: len(prompt)] == prompt
        completion = real[len(prompt) :]
        assert labels == [-100] * len(prompt) + completion
        # Said behind the prompt, as a generation says it, and ended once, as a generation ends.
        answer = each["completion"][0]["content"]
        said = processor.tokenizer.decode(completion)
        assert said.count(processor.tokenizer.eos_token) == 1 and completion[-1] == processor.tokenizer.eos_token_id
        assert said.removesuffix(processor.tokenizer.eos_token).strip() == answer
        behind = processor.tokenizer.decode(real).partition(answer)[0]
        assert not behind.endswith("  ")


def test_both_answers_of_a_pair_follow_one_prompt(tmp_path: Path) -> None:
    model, processor = built("llava", tmp_path)
    collate = partial(collated, DataCollatorForVisionPreference(processor), Renderer(model, processor, {}))
    pair = row(3)
    pair["chosen"], pair["rejected"] = pair.pop("completion"), [{"role": "assistant", "content": "Yes. It is."}]
    batch = collate([pair])
    texts = [
        processor.tokenizer.decode(ids[mask.bool()])
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]
    assert texts[0].endswith(f"ASSISTANT: {ANSWER}</s>") and texts[1].endswith("ASSISTANT: Yes. It is.</s>")
    assert all(text.startswith("<s>") and text.count("<s>") == 1 for text in texts)


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("blip-2", "does not write an answer, as it is, behind its prompt"),
        ("paligemma", "the processor does not take an answer without an image"),
        ("mllama", "are not the same tokens"),  # its processor begins any text anew
    ],
)
def test_families_whose_answers_cannot_be_written(family: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{message}.*align ppo"):
        Renderer(*built(family, tmp_path), {})


# --- rows longer than `max_length` are refused, or left out and counted -----------------------------------------------


def picture(width: int, height: int, orientation: int | None = None) -> dict[str, Any]:
    """A JPEG, which may say that it lies on its side."""
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    file = io.BytesIO()
    Image.effect_noise((width, height), 64).convert("RGB").save(file, "jpeg", exif=exif)
    return {"bytes": file.getvalue()}


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "llava_next"])
def test_they_are_those_of_the_trained_tokens(family: str, tmp_path: Path) -> None:
    """Of images of any size, with the longer one of two answers."""
    model, processor = built(family, tmp_path)
    renderer = Renderer(model, processor, {})
    pictures = [picture(40, 40), picture(120, 40), picture(120, 40, orientation=6), picture(64, 96, orientation=3)]
    (tmp_path / "picture.jpg").write_bytes(pictures[1]["bytes"])
    pictures[1] = {"bytes": None, "path": str(tmp_path / "picture.jpg")}  # as a folder of images is loaded
    asked = ["Is it safe?", "Is it safe?", "Is this image safe for social media?", "Is it safe?"]
    rows = datasets.Dataset.from_dict(
        {
            "image": pictures,
            "prompt": [[{"role": "user", "content": each}] for each in asked],
            "chosen": [[{"role": "assistant", "content": each}] for each in ["Yes.", "No. It is not.", "Yes.", "No."]],
            "rejected": [
                [{"role": "assistant", "content": each}] for each in ["No. It is not.", "Yes.", "No.", "Yes."]
            ],
            "row": range(4),
        }
    ).cast_column("image", datasets.Image())
    collate = partial(collated, DataCollatorForVisionPreference(processor), renderer)
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
