"""From how many tokens of an image on one encoding for all its questions is faster than plain batches; minutes on a CPU.

    python benchmarks/share_choice.py [--json PATH]

glyph-vlm, and LLaVA's shapes with random weights and images of several sizes. The ways take turns, and each figure is of the
fastest of three rounds. What the backend chooses by itself, by arithmetic, should be the faster one.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from eval_speed import GREEDY, glyphs, timed
from PIL import Image
from shapes import PATCH, llava, noise_images

from harness_ext.common.provenance import provenance
from harness_ext.glyphworld.build import ensure_model
from harness_ext.models.hf import HuggingFaceVLM

ROUNDS = 3
SIZES = (56, 112, 168, 224)


def measured(folder: Path, images: list[Image.Image]) -> dict[str, Any]:
    """How sharing and the choice compare with plain batches, and the choice in words."""
    options = {"dtype": "float32", "device": "cpu", "answers": "none", "batch_size": 12}
    models = {share: HuggingFaceVLM(str(folder), share_prefix=share, **options) for share in (True, False, None)}
    seconds: dict[bool | None, list[float]] = {share: [] for share in models}
    for at in range(ROUNDS + 1):
        for share, model in models.items():
            taken, _ = timed(model, images, GREEDY)
            if at:
                seconds[share].append(taken)
    plain = min(seconds[False])
    return {
        "sharing, times plain batches": plain / min(seconds[True]),
        "chosen, times plain batches": plain / min(seconds[None]),
        "chosen": provenance()["prefix_sharing"],
        "seconds": {str(share): taken for share, taken in seconds.items()},
    }


def main() -> None:
    """Measure, print, and write the same figures if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = {"glyph-vlm, 16 image tokens": measured(ensure_model(0), glyphs(20))}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            llava("narrow", Path(folder), torch.float32, "cpu", size)
            name = f"LLaVA's shapes (narrow), {(size // PATCH) ** 2} image tokens"
            figures[name] = measured(Path(folder), noise_images(4))
    for name, of_one in figures.items():
        print(
            f"{name:<48} sharing {of_one['sharing, times plain batches']:.2f} times plain batches; {of_one['chosen']}"
        )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
