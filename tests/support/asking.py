"""Asking a model about glyphs and words through the harness's own request type."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lmms_eval.api.instance import Instance
from PIL import Image

from harness_ext.glyphworld.render import render

GREEDY = {"max_new_tokens": 12, "do_sample": False}

Prompt = tuple[Callable[[], Image.Image] | None, str]


def picture(index: int, size: tuple[int, int] | None = None) -> Callable[[], Image.Image]:
    """What gives the image of a glyph, resized to ``size`` (width, height) where that is given."""

    def image() -> Image.Image:
        glyph = render(index % 150, index).image
        return glyph.resize(size) if size else glyph

    return image


def ask(vlm: Any, prompts: Sequence[Prompt], settings: Mapping[str, Any] = GREEDY) -> list[str]:
    """Put ``prompts``, (image or None, text) each, to a model."""
    vlm.task_dict["task"] = {"test": prompts}

    def messages(prompt: Prompt) -> list[dict[str, Any]]:
        image, text = prompt
        shown = [] if image is None else [{"type": "image", "url": image()}]
        return [{"role": "user", "content": [*shown, {"type": "text", "text": text}]}]

    requests = [
        Instance(
            "generate_until",
            (prompt[1], messages, dict(settings), at, "task", "test"),
            0,
            {"task": "task", "doc_id": at, "repeats": 1},
        )
        for at, prompt in enumerate(prompts)
    ]
    return vlm.generate_until(requests)
