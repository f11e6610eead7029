"""CogVLM and CogVLM2: ``build_conversation_input_ids`` makes the inputs of ``generate``.

The interface as the published code has it (THUDM/cogvlm-chat-hf, modeling_cogvlm.py; used so by VLMEvalKit): one image at
most, read before the text; ``template_version="chat"`` puts the text between "Question:" and "Answer:". Without an image the
authors' demo (CogVLM, basic_demo/cli_demo_hf.py) asks in the words of Vicuna, whose weights then answer, by ``"base"``.
"""

from typing import Any, Final

import torch
from PIL import Image
from transformers import PreTrainedModel

from harness_ext.models.generation import GenerationSettings
from harness_ext.models.prompts import Conversation
from harness_ext.models.remote.asking import RemoteCodeModel, generate_options, question_parts
from harness_ext.models.remote.decoding import decode_as_transformers_4

# The prompt that Vicuna 1.1 and 1.5 were trained with (lmsys, FastChat, conversation template "vicuna_v1.1").
VICUNA: Final = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and "
    "polite answers to the user's questions. USER: {} ASSISTANT:"
)


class CogVLM(RemoteCodeModel):
    """A model with ``build_conversation_input_ids``; its options are those of :class:`RemoteCodeModel`."""

    method = "build_conversation_input_ids"

    def prepare(self, model: PreTrainedModel) -> None:
        """It is of the time of transformers 4."""
        decode_as_transformers_4(model)

    def render(self, turns: Conversation) -> str:
        """The question as the model is given it, and whether with an image."""
        query, images = _query(turns)
        return f"chat, an image: {query}" if images else f"base: {query}"

    def ask(self, turns: Conversation, settings: GenerationSettings, seed: int) -> str:
        """The model's answer."""
        query, images = _query(turns)
        built = self._model.build_conversation_input_ids(
            self._tokenizer,
            query=query,
            history=[],
            images=images or None,
            template_version="chat" if images else "base",
        )
        inputs = {name: self._batch_of_one(value) for name, value in built.items() if value is not None and len(value)}
        tokens = self._model.generate(**inputs, **generate_options(settings, seed))
        return self._tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)

    def _batch_of_one(self, value: Any) -> Any:
        """A tensor of tokens, or a list of images as tensors; both of them for one question."""
        if isinstance(value, torch.Tensor):
            return value[None].to(self._device)
        return [[image.to(self._device, self._model.dtype) for image in value]]


def _query(turns: Conversation) -> tuple[str, list[Image.Image]]:
    parts = question_parts(turns)
    images = [part["image"].convert("RGB") for part in parts if part["type"] == "image"]
    if len(images) > 1:
        raise ValueError(f"CogVLM takes one image at most, found {len(images)}")
    if images and parts[0]["type"] != "image":
        raise ValueError("CogVLM reads its image before the text, here it comes after")
    text = "".join(part["text"] for part in parts if part["type"] == "text")
    return (text if images else VICUNA.format(text)), images
