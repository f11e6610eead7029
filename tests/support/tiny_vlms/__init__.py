"""Tiny random models of the open families of VLMs, each of its own class with its own processor, built without a download.

``FAMILIES[model_type](folder)`` writes a checkpoint into ``folder`` in well under a second; ``AutoProcessor`` and
``AutoModelForMultimodalLM`` load it. What makes a family special in a batch is kept: tiles, position ids in three
dimensions, windows, Q-Formers that read the question, mixed kinds of layers.
"""

from collections.abc import Callable
from pathlib import Path

from tiny_vlms import blip, gemma, glm, hybrids, idefics, internvl, llava, mllama, others, phi, qwen, tiles

FAMILIES: dict[str, Callable[[Path], None]] = {
    **llava.FAMILIES,
    **qwen.FAMILIES,
    **glm.FAMILIES,
    **internvl.FAMILIES,
    **blip.FAMILIES,
    **idefics.FAMILIES,
    **gemma.FAMILIES,
    **mllama.FAMILIES,
    **tiles.FAMILIES,
    **others.FAMILIES,
    **hybrids.FAMILIES,
    **phi.FAMILIES,
}

# What to give as `prompt=` for processors without a chat template: Jinja, or the name of a packaged one.
PROMPTS: dict[str, str] = {**blip.PROMPTS, **gemma.PROMPTS, **phi.PROMPTS}
# Those whose `generate` cannot do without an image.
IMAGE_ONLY: set[str] = {*blip.IMAGE_ONLY, *gemma.IMAGE_ONLY}
