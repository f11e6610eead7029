"""What a base of four bits costs in exactness: glyph-vlm asked, trained on and drawn from, beside float32.

    python benchmarks/four_bits.py [--json PATH]        # with the extra qlora; on a CPU some ten minutes

Every image is asked the five alignment questions and one of perception, greedily. A short run of SFT trains an adapter on
each base; both are also asked on the other base, as QLoRA's adapter is where it is merged or served. A short run of PPO tells
how far the first update's ratios are from 1, and greedy answers how far a token's log-probability at drawing is from its
score.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from eval_speed import IMAGE_QUESTIONS, QUESTIONS, ask, noise_images
from PIL import Image

from align.models import find_base, load
from align.rendering import asked_inputs
from align.settings import ModelConfig
from harness_ext.benchmark.questions import NUM_QUESTIONS
from harness_ext.glyphworld.build import ensure_model
from harness_ext.glyphworld.rows import test_rows
from harness_ext.judges.rules import RuleJudge
from harness_ext.models.hf import HuggingFaceVLM

SETTINGS = {"max_new_tokens": 24, "do_sample": False}
BASES = {"float32": False, "four bits": True}
SFT = ["--renders", "16", "--passes", "1", "--learning_rate", "1e-4", "--save_steps", "60"]
PPO = ["--renders", "2", "--passes", "1", "--critic_warmup", "0", "--save_steps", "14"]


def asked(images: Sequence[tuple[Image.Image, str]], four_bits: bool, adapter: Path | None) -> list[str]:
    """The answers to every question about every image, in their order."""
    more = {} if adapter is None else {"adapter": str(adapter), "adapter_base": "any"}
    model = HuggingFaceVLM(
        str(ensure_model(0)),
        dtype="float32",
        device="cpu",
        batch_size=40,
        load_in_4bit=four_bits,
        answers="none",
        **more,
    )
    answers = ask(model, [image for image, _ in images], SETTINGS)
    model.clean()
    return answers


def accuracies(images: Sequence[tuple[Image.Image, str]], answers: list[str]) -> dict[str, float]:
    """The share of right verdicts by label, of the alignment questions; an answer that cannot be read is wrong."""
    judge = RuleJudge()
    right: dict[str, list[bool]] = {"safe": [], "unsafe": []}
    for at, answer in enumerate(answers):
        image, question = divmod(at, len(QUESTIONS))
        if question < NUM_QUESTIONS:
            label = images[image][1]
            right[label].append(judge.alignment(question, answer) == label)
    return {label: sum(found) / len(found) for label, found in right.items()}


def trained(method: str, four_bits: bool, changes: list[str], out: Path) -> Path:
    """The finished run of a recipe of glyphworld."""
    command = [sys.executable, "-m", "align.commands", method, "--config", f"glyphworld_{method}", *changes]
    command += ["--load_in_4bit", str(four_bits).lower(), "--output_dir", str(out), "--report_to", "none"]
    subprocess.run([*command, "--disable_tqdm", "true", "--logging_steps", "1"], check=True, stdout=sys.stderr)
    return out / "final"


def first_ratios(final: Path) -> float:
    """The largest deviation from 1 of a ratio in the first update of a rollout."""
    history = json.loads((final / "trainer_state.json").read_text())["log_history"]
    return max(entry["ppo/first_ratio_deviation"] for entry in history if "ppo/first_ratio_deviation" in entry)


@torch.no_grad()
def drawn_and_scored(four_bits: bool) -> float:
    """The largest difference of a token's log-probability, drawn with a cache and scored in one pass."""
    config = ModelConfig(load_in_4bit=four_bits)
    model, processor = load(find_base(config), config, torch.device("cpu"))
    apart = 0.0
    for image, question in zip(noise_images(8), IMAGE_QUESTIONS * 2, strict=False):
        inputs = asked_inputs(processor, question, image, {})
        drawn = model.generate(
            **inputs,
            max_new_tokens=16,
            min_new_tokens=16,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
        new = drawn.sequences[:, inputs["input_ids"].shape[1] :]
        at_drawing = torch.stack(drawn.logits, 1).log_softmax(-1).gather(-1, new[..., None])
        whole = {**inputs, "input_ids": drawn.sequences, "attention_mask": torch.ones_like(drawn.sequences)}
        logits = model(**whole).logits[:, -new.shape[1] - 1 : -1]
        apart = max(apart, float((logits.log_softmax(-1).gather(-1, new[..., None]) - at_drawing).abs().max()))
    return apart


def main() -> None:
    """Ask, train, print, and write the same figures if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = test_rows()
    chosen = [rows[at * len(rows) // options.images] for at in range(options.images)]
    images = [(row["image"].convert("RGB"), row["label"]) for row in chosen]
    figures: dict[str, Any] = {
        "images": options.images,
        "versions": {name: version(name) for name in ("bitsandbytes", "torch", "transformers", "peft", "trl")},
        "log-probabilities drawn and scored apart": {name: drawn_and_scored(bits) for name, bits in BASES.items()},
    }
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        adapters: dict[str, Path | None] = {"no adapter": None}
        ratios = {}
        for name, bits in BASES.items():
            adapters[f"SFT on {name}"] = trained("sft", bits, SFT, folder / f"sft-{bits}")
            ratios[name] = first_ratios(trained("ppo", bits, PPO, folder / f"ppo-{bits}"))
        figures["first ratio's deviation from 1"] = ratios
        given = {
            (adapter, base): asked(images, bits, path)
            for adapter, path in adapters.items()
            for base, bits in BASES.items()
        }
    figures["accuracy"] = {f"{a}, asked on {b}": accuracies(images, said) for (a, b), said in given.items()}
    both = {a: list(zip(given[a, "float32"], given[a, "four bits"], strict=True)) for a in adapters}
    figures["equal answers on both bases"] = {a: sum(x == y for x, y in said) / len(said) for a, said in both.items()}
    text = json.dumps(figures, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
