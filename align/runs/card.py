"""The model card of an adapter: what it was made of, in the form that the hub reads. No text of rows or of responses."""

from pathlib import Path
from typing import Any, Final

import yaml

from align.models import Base

_NAMES: Final = {
    "sft": "supervised fine-tuning (SFT)",
    "dpo": "direct preference optimisation (DPO)",
    "ppo": "proximal policy optimisation (PPO)",
    "grpo": "group relative policy optimisation (GRPO)",
    "rloo": "REINFORCE leave-one-out (RLOO)",
}
_STAND_IN: Final = """**Glyphworld is a stand-in, not the benchmark.** Its images are harmless abstract glyphs that bear the \
concepts' names; what comes of training on them shows that everything runs end to end, and says nothing about a real model.
"""
_BENCHMARK: Final = """Trained to judge images of the concepts of UnsafeConcepts (Qu, Backes, Zhang, USENIX Security 2025, \
[arXiv 2507.11155](https://arxiv.org/abs/2507.11155)). The labels are about concepts, not about every image of them; whoever \
uses it decides whether they are right for the purpose. The images are gated, and for research only.
"""


def write_card(folder: Path, base: Base, record: dict[str, Any], step: int) -> None:
    """Write ``README.md`` into an adapter's folder.

    Args:
        folder: Where.
        base: The model that the adapter is for.
        record: The run's record.
        step: The optimiser steps that were taken.
    """
    (folder / "README.md").write_text(card(base, record, step), encoding="utf-8")


def card(base: Base, record: dict[str, Any], step: int) -> str:
    """The card's text; arguments as of :func:`write_card`."""
    model, data, arguments = record["model"], record["data"], record["arguments"]
    is_stand_in = data["source"] == "glyphworld"
    head: dict[str, Any] = {
        "library_name": "peft",
        "pipeline_tag": "image-text-to-text",
        "tags": ["lora", "trl", record["method"], "unsafeconcepts"],
    }
    if base.commit is not None:
        head = {"base_model": base.pretrained, **head}
    if not is_stand_in:
        head["datasets"] = ["yiting/UnsafeConcepts", "yiting/imagenet_1k_unique_class"]
    rows = {
        "base model": f"{model['model']} ({base.pretrained}, commit {base.commit})" if base.commit else model["model"],
        "its weights": model["weights"],
        "method": _NAMES[record["method"]],
        "rewards": record["rewards"],
        "read by": "; ".join(f"{name} rests on {what}" for name, what in record["rests_on"].items()) or None,
        "LoRA": f"rank {model['lora_r']}, alpha {model['lora_alpha']}; on {', '.join(model['lora_modules'])}",
        "data": f"{data['source']}: {data['rows']} rows, {data['passes']} passes, sha256 {data['fingerprint']}",
        "left out": f"{left} rows, longer than max_length" if (left := record["left_out"]) else None,
        "optimiser steps": step,
        "learning rate": f"{arguments['learning_rate']:g}, {arguments['lr_scheduler_type']}",
        "seed": arguments["seed"],
        "command": f"`{record['command']}`",
        "made with": ", ".join(f"{name} {version}" for name, version in record["environment"].items()),
    }
    name, options = base.asked_as
    asked = ",".join(each for each in (options, "adapter=THIS_FOLDER") if each)
    return "\n".join(
        [
            "---",
            yaml.safe_dump(head, sort_keys=False).rstrip(),
            "---",
            "",
            f"# A LoRA for {model['model']} by {record['method'].upper()}",
            "",
            _STAND_IN if is_stand_in else _BENCHMARK,
            "| | |",
            "| --- | --- |",
            *(f"| {key} | {value} |" for key, value in rows.items() if value is not None),
            "",
            "```bash",
            f"lmms_eval --model {name} --model_args {asked} --tasks {data['source']} --log_samples --output_path runs",
            "```",
            "",
            "All settings are in `run.json`.",
            "",
        ]
    )
