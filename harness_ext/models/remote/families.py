"""The models with code of their own: how each takes a question; their options are those of :class:`RemoteCodeModel`."""

from functools import partial
from typing import Any, Final

import torch
from PIL import Image
from transformers import LogitsProcessorList, PreTrainedModel

from harness_ext.models.conversation import Conversation
from harness_ext.models.generation import RequireFinite
from harness_ext.models.remote.asking import RemoteCodeModel, generate_options, question_parts
from harness_ext.models.remote.decoding import decode_as_transformers_4
from harness_ext.models.settings import GenerationSettings

# The prompt that Vicuna 1.1 and 1.5 were trained with (lmsys, FastChat, conversation template "vicuna_v1.1").
VICUNA: Final = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and "
    "polite answers to the user's questions. USER: {} ASSISTANT:"
)
_IMAGE: Final = "<ImageHere>"


class CogVLM(RemoteCodeModel):
    """CogVLM and CogVLM2: ``build_conversation_input_ids`` makes the inputs of ``generate``.

    The interface of the published code (THUDM/cogvlm-chat-hf, modeling_cogvlm.py): one image at most, read before the text;
    ``template_version="chat"`` puts the text between "Question:" and "Answer:". Without an image, the authors' demo (CogVLM,
    basic_demo/cli_demo_hf.py) asks in the words of Vicuna by ``"base"``.
    """

    method = "build_conversation_input_ids"

    def prepare(self, model: PreTrainedModel) -> None:
        """It is of the time of transformers 4."""
        decode_as_transformers_4(model)

    def render(self, turns: Conversation) -> str:
        """The question as the model is given it, and whether with an image."""
        query, images = _cogvlm_query(turns)
        return f"chat, an image: {query}" if images else f"base: {query}"

    def ask(self, turns: Conversation, settings: GenerationSettings, seed: int) -> str:
        """The model's answer."""
        query, images = _cogvlm_query(turns)
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


def _cogvlm_query(turns: Conversation) -> tuple[str, list[Image.Image]]:
    parts = question_parts(turns)
    images = [part["image"].convert("RGB") for part in parts if part["type"] == "image"]
    if len(images) > 1:
        raise ValueError(f"CogVLM takes one image at most, found {len(images)}")
    if images and parts[0]["type"] != "image":
        raise ValueError("CogVLM reads its image before the text, here it comes after")
    text = "".join(part["text"] for part in parts if part["type"] == "text")
    return (text if images else VICUNA.format(text)), images


class XComposer2(RemoteCodeModel):
    """InternLM-XComposer2: ``chat`` takes the question with ``<ImageHere>`` where an image is, and the images as one tensor.

    The interface of the published code (internlm/internlm-xcomposer2-vl-7b, modeling_internlm_xcomposer2.py). ``chat`` hands
    what it does not know on to ``generate``. Its own repetition penalty (1.005) stays where a task names none. The editions
    4KHD and 2.5, which cut images into tiles first, are not asked by this class.
    """

    method = "chat"

    def prepare(self, model: PreTrainedModel) -> None:
        """It is of the time of transformers 4; parts of its code find the tokenizer on the model."""
        decode_as_transformers_4(model)
        model.tokenizer = self._tokenizer

    def render(self, turns: Conversation) -> str:
        """The question as the model is given it."""
        return _xcomposer_query(turns)[0]

    def ask(self, turns: Conversation, settings: GenerationSettings, seed: int) -> str:
        """The model's answer."""
        query, images = _xcomposer_query(turns)
        pixels = None
        if images:
            pixels = torch.stack([self._model.vis_processor(image) for image in images])
            pixels = pixels.to(self._device, self._model.dtype)
        response, _ = self._model.chat(
            self._tokenizer, query=query, image=pixels, history=[], **generate_options(settings, seed)
        )
        return response


def _xcomposer_query(turns: Conversation) -> tuple[str, list[Image.Image]]:
    parts = question_parts(turns)
    if any(part["type"] == "text" and _IMAGE in part["text"] for part in parts):
        raise ValueError(f"the question holds {_IMAGE}, which stands for an image")
    images = [part["image"].convert("RGB") for part in parts if part["type"] == "image"]
    return "".join(part["text"] if part["type"] == "text" else _IMAGE for part in parts), images


class MiniCPMV(RemoteCodeModel):
    """MiniCPM-V 2.5 and 2.6: ``chat`` takes turns of images and texts, and gives the answer.

    The interface of the published code (openbmb/MiniCPM-V-2_6, modeling_minicpmv.py). Without ``num_beams`` it searches with
    3 beams, so 1 is always said; its repetition penalty (1.2; 1.05 in sampling) stays where a task names none. It takes no
    processor of scores: torch's generator, seeded for each answer, draws a sample, which depends on the kind of device, and
    scores are watched where its language model, ``llm``, generates.
    """

    auto_class = "AutoModel"
    method = "chat"
    beams = True

    def prepare(self, model: PreTrainedModel) -> None:
        """A sample of scores that are not finite would end the whole run on a GPU."""
        model.llm.generate = partial(
            model.llm.generate, logits_processor=LogitsProcessorList([RequireFinite()]), remove_invalid_values=False
        )

    def render(self, turns: Conversation) -> str:
        """The question as the model is given it, a line for each image."""
        return "\n".join(part["text"] if part["type"] == "text" else "<image>" for part in question_parts(turns))

    def ask(self, turns: Conversation, settings: GenerationSettings, seed: int) -> str:
        """The model's answer."""
        parts = question_parts(turns)
        content = [part["text"] if part["type"] == "text" else part["image"].convert("RGB") for part in parts]
        with torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else []):
            torch.manual_seed(seed)
            return self._model.chat(
                image=None,
                msgs=[{"role": "user", "content": content}],
                tokenizer=self._tokenizer,
                max_new_tokens=settings.max_new_tokens,
                **_minicpmv_options(settings),
            )


def _minicpmv_options(settings: GenerationSettings) -> dict[str, Any]:
    options: dict[str, Any] = {"sampling": settings.do_sample}
    if settings.do_sample:
        options |= {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": settings.top_k}
    else:
        options["num_beams"] = settings.num_beams
    if settings.repetition_penalty is not None:
        options["repetition_penalty"] = settings.repetition_penalty
    return options
