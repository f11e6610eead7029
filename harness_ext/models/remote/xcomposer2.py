"""InternLM-XComposer2: ``chat`` takes the question with ``<ImageHere>`` where an image is, and the images as one tensor.

The interface as the published code has it (internlm/internlm-xcomposer2-vl-7b, modeling_internlm_xcomposer2.py). What
``chat`` does not know it hands on to ``generate``, so that greedy decoding and sampling are those of every backend here. Its
own repetition penalty (1.005) stays where a task names none. The larger editions, 4KHD and 2.5, cut images into tiles before
this interface, and are not what this asks.
"""

from typing import Final

import torch
from PIL import Image
from transformers import PreTrainedModel

from harness_ext.models.generation import GenerationSettings
from harness_ext.models.prompts import Conversation
from harness_ext.models.remote.asking import RemoteCodeModel, generate_options, question_parts
from harness_ext.models.remote.decoding import decode_as_transformers_4

_IMAGE: Final = "<ImageHere>"


class XComposer2(RemoteCodeModel):
    """A model with XComposer2's ``chat``; its options are those of :class:`RemoteCodeModel`."""

    method = "chat"

    def prepare(self, model: PreTrainedModel) -> None:
        """It is of the time of transformers 4; parts of its code find the tokenizer on the model."""
        decode_as_transformers_4(model)
        model.tokenizer = self._tokenizer

    def render(self, turns: Conversation) -> str:
        """The question as the model is given it."""
        return _query(turns)[0]

    def ask(self, turns: Conversation, settings: GenerationSettings, seed: int) -> str:
        """The model's answer."""
        query, images = _query(turns)
        pixels = None
        if images:
            pixels = torch.stack([self._model.vis_processor(image) for image in images])
            pixels = pixels.to(self._device, self._model.dtype)
        response, _ = self._model.chat(
            self._tokenizer, query=query, image=pixels, history=[], **generate_options(settings, seed)
        )
        return response


def _query(turns: Conversation) -> tuple[str, list[Image.Image]]:
    parts = question_parts(turns)
    if any(part["type"] == "text" and _IMAGE in part["text"] for part in parts):
        raise ValueError(f"the question holds {_IMAGE}, which stands for an image")
    images = [part["image"].convert("RGB") for part in parts if part["type"] == "image"]
    return "".join(part["text"] if part["type"] == "text" else _IMAGE for part in parts), images
