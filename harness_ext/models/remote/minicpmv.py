"""MiniCPM-V 2.5 and 2.6: ``chat`` takes turns of images and texts, and gives the answer.

The interface as the published code has it (openbmb/MiniCPM-V-2_6, modeling_minicpmv.py). It lets through few of the settings
of generation and has its own for the rest: without ``num_beams`` it searches with 3 beams, so that 1 is always said; its
repetition penalty (1.2; 1.05 in sampling) stays where a task names none. It takes no processor of scores: a sample is drawn
from torch's generator, seeded for each answer, the same on one kind of device, another one on another; and whether scores are
finite is looked at where its language model, ``llm``, generates.
"""

from functools import partial
from typing import Any

import torch
from transformers import LogitsProcessorList, PreTrainedModel

from harness_ext.models.finite import RequireFinite
from harness_ext.models.generation import GenerationSettings
from harness_ext.models.prompts import Conversation
from harness_ext.models.remote.asking import RemoteCodeModel, question_parts


class MiniCPMV(RemoteCodeModel):
    """A model with MiniCPM-V's ``chat``; its options are those of :class:`RemoteCodeModel`."""

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
                **_options(settings),
            )


def _options(settings: GenerationSettings) -> dict[str, Any]:
    options: dict[str, Any] = {"sampling": settings.do_sample}
    if settings.do_sample:
        options |= {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": settings.top_k}
    else:
        options["num_beams"] = settings.num_beams
    if settings.repetition_penalty is not None:
        options["repetition_penalty"] = settings.repetition_penalty
    return options
