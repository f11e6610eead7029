"""Writes what the two harnesses write about one benchmark, and adapters of the untrained VLM."""

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForImageTextToText

from harness_ext.retention.benchmarks import benchmarks

WHAT = {"weights": "files 0123", "adapter": "none"}


def write_evaluation(
    folder: Path,
    task: str,
    scores: dict[str, float | None],
    rows: list[dict[str, object]],
    available: int | None = None,
    **config: str,
) -> Path:
    """Write one evaluation of ``task``; returns its results file."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "results": {task: {"alias": task, **scores}},
        "versions": {task: 1.0},
        "n-samples": {task: {"original": available or len(rows), "effective": len(rows)}},
        "configs": {task: {"task": task}},
        "config": {"model": "tiny", "model_args": ""}
        | {f"{part}_identity": each for part, each in WHAT.items()}
        | config,
    }
    if task not in benchmarks("text"):
        results, samples = "20260101_120000_results.json", f"20260101_120000_samples_{task}.jsonl"
    else:
        results, samples = "results_2026-01-01T12-00-00.5.json", f"samples_{task}_2026-01-01T12-00-00.5.jsonl"
    (folder / samples).write_text("".join(json.dumps({"doc_id": at, **row}) + "\n" for at, row in enumerate(rows)))
    (folder / results).write_text(json.dumps(content))
    return folder / results


@pytest.fixture(scope="session")
def write():
    return write_evaluation


@pytest.fixture
def make_adapter(untrained_vlm, tmp_path):
    """What saves an adapter of the untrained VLM or of another folder's, another one for another seed."""

    def make_adapter(seed=0, name="adapter", of=untrained_vlm):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            base = AutoModelForImageTextToText.from_pretrained(of)
            config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
            get_peft_model(base, config).save_pretrained(tmp_path / name)
        return tmp_path / name

    return make_adapter
