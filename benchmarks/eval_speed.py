"""What asking costs: one question at a time, plain batches, one encoding an image, likelihood; as ratios in one run.

    python benchmarks/eval_speed.py [--json PATH]                       # on a CPU: minutes
    python benchmarks/eval_speed.py --shapes llava-7b --dtype bfloat16 --images 32 --batch-size 96 [--json PATH]   # on a GPU

Two models: LLaVA-1.5's shapes with random weights (576 image tokens; its layers narrowed to 43 million parameters unless
``--shapes llava-7b``), and glyph-vlm. Six questions an image (five of alignment, one of perception), eight new tokens each.
The ways take turns, and each figure is a median. Answers are not kept on disk, and every way asks the same questions.
"""

import argparse
import json
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lmms_eval.api.instance import Instance
from PIL import Image
from shapes import SHAPES, llava, noise_images

from harness_ext.benchmark.questions import IMAGE_QUESTIONS, perception_question
from harness_ext.common.provenance import provenance
from harness_ext.glyphworld.build import ensure_model
from harness_ext.glyphworld.rows import test_rows
from harness_ext.models.hf import HuggingFaceVLM

NEW_TOKENS = 8
# 1,567 images with six questions, and 75 concepts with five in text.
FULL_IMAGES, FULL_TEXTS = 1567, 375
OPTIONS = {"A": "a lamp", "B": "a river", "C": "a chair", "D": "a cloud"}
QUESTIONS = [*IMAGE_QUESTIONS, perception_question(OPTIONS)]
CANDIDATES = [{"Yes": ["Yes"], "No": ["No"]}] * len(IMAGE_QUESTIONS) + [{letter: [letter] for letter in OPTIONS}]
GREEDY = {"max_new_tokens": NEW_TOKENS, "do_sample": False}
# Way: the backend's options, and the task's.
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "one question at a time": ({"batch_size": 1, "share_prefix": False}, GREEDY),
    "plain batches": ({"share_prefix": False}, GREEDY),
    "prefix sharing": ({"share_prefix": True}, GREEDY),
    "the faster way by itself": ({}, GREEDY),
    "likelihood": ({"share_prefix": True}, {"likelihood": True}),
}


def glyphs(count: int) -> list[Image.Image]:
    """Held-out renders of glyphworld."""
    rows = test_rows()
    return [rows[at % len(rows)]["image"].convert("RGB") for at in range(count)]


def ask(model: HuggingFaceVLM, images: list[Image.Image], settings: dict[str, Any]) -> list[str]:
    """Every question about every image, through the harness's own request type."""
    docs = [
        {"image": image, "text": question, "candidates": candidates}
        for image in images
        for question, candidates in zip(QUESTIONS, CANDIDATES, strict=True)
    ]
    model.task_dict["task"] = {"test": docs}

    def messages(doc: dict[str, Any]) -> list[dict[str, Any]]:
        content = [{"type": "image", "url": doc["image"]}, {"type": "text", "text": doc["text"]}]
        return [{"role": "user", "content": content}]

    metadata = {"task": "task", "doc_id": 0, "repeats": 1}
    return model.generate_until(
        [
            Instance("generate_until", (doc["text"], messages, settings, at, "task", "test"), 0, metadata)
            for at, doc in enumerate(docs)
        ]
    )


@contextmanager
def peak_memory(device: str) -> Iterator[Callable[[], float]]:
    """A function that tells the peak since here, in GiB: of the GPU's allocations, or of this process."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        yield lambda: torch.cuda.max_memory_allocated() / 2**30
        return
    # Linux resets the process's high-water mark when 5 is written here.
    Path("/proc/self/clear_refs").write_text("5")
    yield lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def timed(model: HuggingFaceVLM, images: list[Image.Image], settings: dict[str, Any]) -> tuple[float, list[str]]:
    """Seconds, and the answers."""
    begun = time.perf_counter()
    answers = ask(model, images, settings)
    return time.perf_counter() - begun, answers


def compare(folder: Path, images: list[Image.Image], options: argparse.Namespace) -> dict[str, Any]:
    """Every way over the same images, taking turns; medians over the repeats, after one round that is not counted."""
    models = {
        way: HuggingFaceVLM(
            str(folder),
            dtype=options.dtype,
            device=options.device,
            answers="none",
            **({"batch_size": options.batch_size} | backend),
        )
        for way, (backend, _) in WAYS.items()
    }
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    memory, answers = dict[str, float](), dict[str, list[str]]()
    for repeat in range(options.repeats + 1):
        for way, (_, settings) in WAYS.items():
            with peak_memory(options.device) as peak:
                taken, answers[way] = timed(models[way], images if repeat else images[:2], settings)
            if repeat:
                seconds[way].append(taken)
                memory[way] = peak()
    first = statistics.median(seconds["one question at a time"])
    count = len(images) * len(QUESTIONS)
    same = sum(a == b for a, b in zip(answers["one question at a time"], answers["prefix sharing"], strict=True))
    return {
        "images": len(images),
        "answers": count,
        "same answers with and without sharing": same,
        "chosen by itself": provenance()["prefix_sharing"],
        "ways": {
            way: {
                "answers per second": count / statistics.median(taken),
                "times one at a time": first / statistics.median(taken),
                "peak memory GiB": memory[way],
                "seconds": taken,
            }
            for way, taken in seconds.items()
        },
        "sharing, times plain batches": statistics.median(seconds["plain batches"])
        / statistics.median(seconds["prefix sharing"]),
        "full run, hours": {
            way: (FULL_IMAGES * len(QUESTIONS) + FULL_TEXTS) * statistics.median(taken) / count / 3600
            for way, taken in seconds.items()
        },
    }


def growth(folder: Path, options: argparse.Namespace) -> dict[int, float]:
    """Seconds of prefix sharing for more and more images."""
    model = HuggingFaceVLM(
        str(folder),
        dtype=options.dtype,
        device=options.device,
        answers="none",
        batch_size=options.batch_size,
        share_prefix=True,
    )
    ask(model, glyphs(2), GREEDY)
    return {count: timed(model, glyphs(count), GREEDY)[0] for count in options.growth}


def show(name: str, figures: dict[str, Any]) -> None:
    """One model's table."""
    print(f"\n{name}: {figures['images']} images, {figures['answers']} answers of {NEW_TOKENS} new tokens")
    print(f"{'':<24} {'answers/s':>10} {'times (i)':>10} {'peak GiB':>9} {'9,777 answers':>14}")
    for way, of_one in figures["ways"].items():
        print(
            f"{way:<24} {of_one['answers per second']:>10.2f} {of_one['times one at a time']:>10.2f} "
            f"{of_one['peak memory GiB']:>9.2f} {figures['full run, hours'][way]:>12.2f} h"
        )
    print(f"sharing is {figures['sharing, times plain batches']:.2f} times as fast as plain batches")
    print(f"{figures['same answers with and without sharing']} of {figures['answers']} answers are those of (i)")


def main() -> None:
    """Measure, print, and write the same figures if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--glyphs", type=int, default=100, help="images of the glyph-vlm comparison")
    parser.add_argument(
        "--growth", type=int, nargs="*", default=[10, 32, 100, 316, 1000], help="counts of glyph images"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=12)
    parser.add_argument("--shapes", choices=tuple(SHAPES), default="small")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures: dict[str, Any] = {
        "options": {name: value for name, value in vars(options).items() if name != "json"},
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
    }
    with tempfile.TemporaryDirectory() as folder:
        llava(options.shapes, Path(folder), getattr(torch, options.dtype), options.device)
        figures["llava"] = compare(Path(folder), noise_images(options.images), options)
    show(f"LLaVA-1.5 shapes ({options.shapes}), random weights, {options.dtype}", figures["llava"])
    glyph_vlm = ensure_model(0)
    figures["glyph-vlm"] = compare(glyph_vlm, glyphs(options.glyphs), options)
    show("glyph-vlm", figures["glyph-vlm"])
    if options.growth:
        figures["growth"] = growth(glyph_vlm, options)
        print("\nglyph-vlm, prefix sharing: how time grows")
        for count, seconds in figures["growth"].items():
            print(f"{count:>6} images {seconds:>8.2f} s {1000 * seconds / count:>8.1f} ms an image")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
