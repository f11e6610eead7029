"""Whether vLLM answers as transformers does: the same questions by both backends, in one run, in an environment with vLLM.

    VLLM_ENABLE_V1_MULTIPROCESSING=0 VLLM_CPU_KVCACHE_SPACE=1 python benchmarks/vllm_parity.py [--json PATH]     # on a CPU
    python benchmarks/vllm_parity.py --pretrained llava-hf/llava-1.5-7b-hf --dtype bfloat16 [--json PATH]        # on a GPU

Asked without and with a LoRA adapter (random values), by greedy generation and by likelihood: six questions an image, and one
without an image. Without ``--pretrained`` the model is glyph-vlm, its vision tower's tensors under the names that the hub's
LLaVA has them under: vLLM does not know those that transformers 5 writes for a model that was made by it.
"""

import argparse
import json
import math
import shutil
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from eval_speed import ask, glyphs
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForMultimodalLM

from harness_ext.glyphworld.build import ensure_model
from harness_ext.models.hf import HuggingFaceVLM
from harness_ext.models.vllm import VllmVLM, version_of_vllm

WAYS: dict[str, dict[str, Any]] = {
    "greedy": {"max_new_tokens": 24, "do_sample": False},
    "likelihood": {"likelihood": True},
}


def with_the_hubs_names(source: Path, folder: Path) -> Path:
    """A copy of a LLaVA checkpoint whose tower's tensors are named as the hub's are."""
    shutil.copytree(source, folder)
    file = folder / "model.safetensors"
    hub = {
        name.replace("vision_tower.", "vision_tower.vision_model.")
        if name.startswith("vision_tower.") and ".vision_model." not in name
        else name: tensor
        for name, tensor in load_file(file).items()
    }
    file.unlink()
    save_file(hub, file, {"format": "pt"})
    return folder


def random_adapter(pretrained: str, folder: Path) -> Path:
    """A LoRA adapter on the language side whose values are random, and large enough to change answers."""
    model = AutoModelForMultimodalLM.from_pretrained(pretrained, dtype=torch.float32)
    config = LoraConfig(r=8, lora_alpha=16, target_modules=r".*language_model.*\.(q_proj|v_proj|down_proj)")
    adapted = get_peft_model(model, config)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.2, generator=generator)
    adapted.save_pretrained(folder)
    return folder


def compared(way: str, one: list[str], other: list[str]) -> dict[str, Any]:
    """The share of equal answers; by likelihood, of equal verdicts, and how far the log-probabilities are apart."""
    if way != "likelihood":
        same = sum(a == b for a, b in zip(one, other, strict=True))
        return {"answers": len(one), "equal": same, "share": same / len(one), "different answers": len(set(one))}
    scores = [(json.loads(a), json.loads(b)) for a, b in zip(one, other, strict=True)]
    same = sum(max(a, key=a.get) == max(b, key=b.get) for a, b in scores)
    apart = max(abs(math.exp(a[label]) - math.exp(b[label])) for a, b in scores for label in a)
    return {"verdicts": len(one), "equal": same, "share": same / len(one), "largest difference of a probability": apart}


def asked(model: Any, images: int) -> dict[str, list[str]]:
    """The answers by way, and the seconds."""
    found, shown = {}, glyphs(images)
    for way, settings in WAYS.items():
        begun = time.perf_counter()
        found[way] = ask(model, shown, settings)
        print(
            f"  {type(model).__name__}: {way}, {len(found[way])} answers in {time.perf_counter() - begun:.1f} s",
            flush=True,
        )
    return found


def main() -> None:
    """Ask both, print, and write the same figures if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pretrained")
    parser.add_argument("--images", type=int, default=30)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        weights = options.pretrained or str(with_the_hubs_names(ensure_model(0), folder / "glyph-vlm"))
        adapter = str(random_adapter(weights, folder / "adapter"))
        figures: dict[str, Any] = {
            "options": {name: value for name, value in vars(options).items() if name != "json"},
            "versions": {"vllm": version_of_vllm()} | {name: version(name) for name in ("torch", "transformers")},
        }
        shared: dict[str, Any] = {"dtype": options.dtype, "answers": "none"}
        of_vllm: list[list[str]] = []
        for name, more in {"without an adapter": {}, "with an adapter": {"adapter": adapter}}.items():
            ours = HuggingFaceVLM(weights, batch_size=12, **shared, **more)
            expected = asked(ours, options.images)
            ours.clean()
            theirs = VllmVLM(weights, enforce_eager=not torch.cuda.is_available(), **shared, **more)
            given = asked(theirs, options.images)
            theirs.clean()
            figures[name] = {way: compared(way, expected[way], given[way]) for way in WAYS}
            of_vllm.append(given["likelihood"])
            print(f"{name}: {json.dumps(figures[name])}", flush=True)
        changed = sum(a != b for a, b in zip(*of_vllm, strict=True))
        figures["log-probabilities that the adapter changed"] = changed
        print(f"the adapter changed the log-probabilities of {changed} of {len(of_vllm[0])} answers")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
