"""What reads a file within a command that would go on for long; each in a folder as ``cases.lay_out`` makes it."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch


def names() -> None:
    """Our names, as `lmms_eval models` prints them."""
    from harness_ext.models.catalogue import describe_names

    print(describe_names())


def plugin() -> None:
    """What plain `lmms-eval` loads: without the packaged names, it would know none of ours."""
    from harness_ext.plugin import register

    assert {"llava-7b", "glyph-vlm"} <= {each.model_id for each in register()}


def recipe() -> None:
    """The settings of a run."""
    from align.settings import read_settings

    read_settings("sft", ["--config", "recipe.yaml", "--output_dir", "out/run"])


def labelled() -> None:
    """What `train-judge` learns from."""
    from harness_ext.runs.labelled import read_labelled

    read_labelled([Path("labelled.jsonl")], None)


@cache
def _model() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "vocab_size": 8,
    }
    return LlamaForCausalLM(LlamaConfig(**sizes))


def adapter(folder: str, make: bool = False) -> None:
    """An adapter on a tiny model; made first, if ``make``, with a seal where the folder is called so."""
    from peft import LoraConfig, get_peft_model

    from harness_ext.common.output import guard_log
    from harness_ext.common.seals import seal
    from harness_ext.models.loading import check_adapter, put_adapter

    if make:
        made = get_peft_model(_model(), LoraConfig(target_modules=r".*\.(q|v)_proj", rank_pattern={"v_proj": 4}))
        made.save_pretrained(folder)
        file = Path(folder, "adapter_config.json")
        content = {**json.loads(file.read_text(encoding="utf-8")), "base_model_name_or_path": "somebody/base"}
        file.write_text(json.dumps(content), encoding="utf-8")
        if folder == "sealed":
            seal(Path(folder))
        return
    guard_log()  # as every command does
    check_adapter(folder, "somebody/base")
    put_adapter(_model(), folder, "somebody/base")


def classifier(folder: str) -> None:
    """A judge that was trained, and its verdict on an answer."""
    from harness_ext.judges.base import AlignmentAnswer
    from harness_ext.judges.registry import open_judge

    print(*open_judge("classifier", {"alignment": folder, "device": "cpu"}).judge([AlignmentAnswer(0, "Yes.")]))


def warned() -> None:
    """The warnings of a run that resumes from the checkpoint of step 2."""
    from align.monitor import keep_before

    keep_before(Path("monitor.jsonl"), 2)
    print(*(file.read_text(encoding="utf-8") for file in Path().glob("monitor.jsonl")))


def weights() -> None:
    """A model of the user's own, with its processor."""
    from harness_ext.models.loading import load_model, load_processor

    load_processor("weights", None, False)
    load_model("weights", revision=None, dtype="auto", device="cpu")
