"""What asking costs: one question at a time, plain batches, one encoding an image, likelihood; as ratios in one run.

    OMP_NUM_THREADS=1 python benchmarks/eval_speed.py --phases [--json PATH]       # on a CPU: ten minutes
    python benchmarks/eval_speed.py --shapes llava-7b --dtype bfloat16 --images 32 --batch-size 96 [--json PATH]   # on a GPU

Two models: LLaVA-1.5's shapes with random weights (576 image tokens; its layers narrowed to 43 million parameters unless
``--shapes llava-7b``), and glyph-vlm. Six questions an image (five of alignment, one of perception), eight new tokens each.
The ways take turns, and each figure is a median; on a CPU, of processor time (the machine may have other work), on a GPU, of
the wall's. Answers are not kept on disk, and every way asks the same questions. ``--phases`` adds where the time goes.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lmms_eval.api.instance import Instance
from phases import clock, peak_memory, phases
from PIL import Image
from shapes import SHAPES, llava, noise_images
from torch.utils.flop_counter import FlopCounterMode

from harness_ext.benchmark.questions import IMAGE_QUESTIONS, perception_question
from harness_ext.common.files import write_text
from harness_ext.common.provenance import provenance
from harness_ext.glyphworld.build import ensure_model
from harness_ext.glyphworld.rows import test_rows
from harness_ext.models.hf import Asker, HuggingFaceVLM

NEW_TOKENS = 8
# 1,567 images with six questions, and 75 concepts with five in text.
FULL_IMAGES, FULL_TEXTS = 1567, 375
OPTIONS = {"A": "a lamp", "B": "a river", "C": "a chair", "D": "a cloud"}
QUESTIONS = [*IMAGE_QUESTIONS, perception_question(OPTIONS)]
CANDIDATES = [{"Yes": ["Yes"], "No": ["No"]}] * len(IMAGE_QUESTIONS) + [{letter: [letter] for letter in OPTIONS}]
GREEDY = {"max_new_tokens": NEW_TOKENS, "do_sample": False}
ONE_BY_ONE, PLAIN, SHARING, BY_ITSELF = (
    "one question at a time",
    "plain batches",
    "prefix sharing",
    "the faster way by itself",
)
# Way: the backend's options, and the task's.
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    ONE_BY_ONE: ({"batch_size": 1, "share_prefix": False}, GREEDY),
    PLAIN: ({"share_prefix": False}, GREEDY),
    SHARING: ({"share_prefix": True}, GREEDY),
    BY_ITSELF: ({}, GREEDY),
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


def timed(
    model: HuggingFaceVLM,
    images: list[Image.Image],
    settings: dict[str, Any],
    now: Callable[[], float] = time.perf_counter,
) -> tuple[float, list[str]]:
    """Seconds by ``now``, and the answers."""
    begun = now()
    answers = ask(model, images, settings)
    return now() - begun, answers


class Ways:
    """One model asked in every way: a way's batch size and sharing are put into the backend that has the weights.

    Args:
        folder: The model.
        options: Of the command line.
    """

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.model = HuggingFaceVLM(str(folder), dtype=options.dtype, device=options.device, answers="none")
        self._settings = {way: {"batch_size": options.batch_size, "share_prefix": None} | WAYS[way][0] for way in WAYS}
        self._askers = {way: Asker(self.model._decoder, seed=0, **settings) for way, settings in self._settings.items()}

    def take(self, way: str) -> dict[str, Any]:
        """The settings of a task that asks in this way, which the model is asked in from here on."""
        self.model.batch_size, self.model._asker = self._settings[way]["batch_size"], self._askers[way]
        return WAYS[way][1]


def compare(
    folder: Path,
    images: list[Image.Image],
    options: argparse.Namespace,
    written: Callable[[dict[str, Any]], None] = lambda figures: None,
) -> dict[str, Any]:
    """Every way over the same images, taking turns; medians over the repeats, after a round that is not timed.

    Arithmetic is what PyTorch counts on two images, padding included. ``written`` is given the figures after every round.
    """
    ways, now, count = Ways(folder, options), clock(options.device), len(images) * len(QUESTIONS)
    figures: dict[str, Any] = {"images": len(images), "answers": count, "ways": {way: {} for way in WAYS}}
    for way, of_one in figures["ways"].items():
        settings = ways.take(way)
        # The first images of a run are asked both ways, to see whether sharing holds.
        ask(ways.model, images[:2], settings)
        with FlopCounterMode(display=False) as counter:
            ask(ways.model, images[:2], settings)
        of_one["GFLOP an answer"] = counter.get_total_flops() / 1e9 / len(images[:2]) / len(QUESTIONS)
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    answers = dict[str, list[str]]()
    for _ in range(options.repeats):
        for way, of_one in figures["ways"].items():
            settings = ways.take(way)
            with peak_memory(options.device) as peak:
                taken, answers[way] = timed(ways.model, images, settings, now)
            seconds[way].append(taken)
            of_one |= {
                "answers per second": count / statistics.median(seconds[way]),
                "peak memory GiB": peak(),
                "seconds": seconds[way],
            }
            if way == BY_ITSELF:
                figures["chosen by itself"] = provenance()["prefix_sharing"]
        written(figures | _compared(figures["ways"], answers))
    if options.phases:
        for way, of_one in figures["ways"].items():
            settings = ways.take(way)
            with phases(ways.model) as found:
                ask(ways.model, images, settings)
            of_one["phases"] = found
    return figures | _compared(figures["ways"], answers)


def _compared(ways: dict[str, dict[str, Any]], answers: dict[str, list[str]]) -> dict[str, Any]:
    """The figures that are about more than one way; adds to each of ``ways`` how it compares with one at a time."""
    first = ways[ONE_BY_ONE]
    for of_one in ways.values():
        of_one["times one at a time"] = of_one["answers per second"] / first["answers per second"]
        of_one["times one at a time by arithmetic"] = first["GFLOP an answer"] / of_one["GFLOP an answer"]
    return {
        "same answers with and without sharing": sum(
            one == other for one, other in zip(answers[ONE_BY_ONE], answers[SHARING], strict=True)
        ),
        "sharing, times plain batches": ways[SHARING]["answers per second"] / ways[PLAIN]["answers per second"],
        "full run, hours": {
            way: (FULL_IMAGES * len(QUESTIONS) + FULL_TEXTS) / of_one["answers per second"] / 3600
            for way, of_one in ways.items()
        },
    }


def growth(folder: Path, options: argparse.Namespace) -> dict[int, float]:
    """Seconds of prefix sharing for more and more images."""
    ways = Ways(folder, options)
    ask(ways.model, glyphs(2), ways.take(SHARING))
    now = clock(options.device)
    return {count: timed(ways.model, glyphs(count), GREEDY, now)[0] for count in options.growth}


def show(name: str, figures: dict[str, Any]) -> None:
    """One model's tables."""
    print(f"\n{name}: {figures['images']} images, {figures['answers']} answers of {NEW_TOKENS} new tokens")
    print(f"{'':<24} {'answers/s':>10} {'times (i)':>10} {'by arithmetic':>14} {'peak GiB':>9} {'9,777 answers':>14}")
    for way, of_one in figures["ways"].items():
        print(
            f"{way:<24} {of_one['answers per second']:>10.2f} {of_one['times one at a time']:>10.2f} "
            f"{of_one['times one at a time by arithmetic']:>14.2f} {of_one['peak memory GiB']:>9.2f} "
            f"{figures['full run, hours'][way]:>12.2f} h"
        )
    print(f"sharing is {figures['sharing, times plain batches']:.2f} times as fast as plain batches")
    print(f"{figures['same answers with and without sharing']} of {figures['answers']} answers are those of (i)")
    for way, of_one in figures["ways"].items():
        for phase, found in of_one.get("phases", {}).items():
            each = 1000 * found["seconds"] / figures["answers"]
            print(
                f"{way:<24} {phase:<36} {each:>8.2f} ms an answer {found['tokens'] / figures['answers']:>8.1f} tokens"
            )


def main() -> None:
    """Measure, print, and write the same figures if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--glyphs", type=int, default=100, help="images of the glyph-vlm comparison; 0 leaves it out")
    parser.add_argument(
        "--growth", type=int, nargs="*", default=[10, 32, 100, 316, 1000], help="counts of glyph images"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=12)
    parser.add_argument("--shapes", choices=tuple(SHAPES), default="small")
    parser.add_argument("--model", type=Path, help="a folder that has the model of these shapes already")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--phases", action="store_true", help="a further round, which shows where the time goes")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures: dict[str, Any] = {
        "options": {name: value for name, value in vars(options).items() if name not in ("json", "model")},
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "seconds are": "processor time" if options.device == "cpu" else "wall time",
    }

    def write(name: str, found: Any) -> None:
        figures[name] = found
        if options.json:
            write_text(options.json, json.dumps(figures, indent=1) + "\n")

    with tempfile.TemporaryDirectory() as made:
        folder = options.model or Path(made)
        if not options.model:
            llava(options.shapes, folder, getattr(torch, options.dtype), options.device)
        write("llava", compare(folder, noise_images(options.images), options, lambda found: write("llava", found)))
    show(f"LLaVA-1.5 shapes ({options.shapes}), random weights, {options.dtype}", figures["llava"])
    if options.glyphs:
        write("glyph-vlm", compare(ensure_model(0), glyphs(options.glyphs), options))
        show("glyph-vlm", figures["glyph-vlm"])
    if options.growth:
        write("growth", growth(ensure_model(0), options))
        print("\nglyph-vlm, prefix sharing: how time grows")
        for count, seconds in figures["growth"].items():
            print(f"{count:>6} images {seconds:>8.2f} s {1000 * seconds / count:>8.1f} ms an image")


if __name__ == "__main__":
    main()
