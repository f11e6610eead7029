"""The backend for ShieldGemma 2: the Gemma 3 in its class, and its processor's rules in the frame of its template."""

from collections.abc import Mapping
from typing import Any

from transformers import (
    Gemma3Processor,
    GenerationConfig,
    PreTrainedModel,
    ProcessorMixin,
    ShieldGemma2ForImageClassification,
    ShieldGemma2Processor,
)

from harness_ext.common.errors import UserError
from harness_ext.models.checkpoint import read_by_libraries
from harness_ext.models.hf import HuggingFaceVLM
from harness_ext.models.loading import load_model, load_processor


def _load_processor(
    pretrained: str, revision: str | None, trust_remote_code: bool, prompt: str | None = None
) -> ProcessorMixin:
    """Gemma 3's processor, which takes any conversation, with the chat template, the parts and the rules of ShieldGemma's.

    ShieldGemma's own makes a prompt of every rule and takes no other.
    """
    own = load_processor(pretrained, revision, trust_remote_code, prompt)
    if not isinstance(own, ShieldGemma2Processor):
        raise UserError(f"{pretrained!r}: expected the processor of ShieldGemma 2, found a {type(own).__name__}")
    processor = Gemma3Processor(
        own.image_processor, own.tokenizer, chat_template=own.chat_template, image_seq_length=own.image_seq_length
    )
    processor.policy_definitions = own.policy_definitions
    return processor


def _load_model(pretrained: str, **options: Any) -> PreTrainedModel:
    """The Gemma 3 of the weights; its class for images compares the scores of two words, which we do ourselves.

    Raises ``UserError`` for an adapter and for four bits: neither can be put on that class and taken out of it again.
    """
    if refused := [option for option in ("adapter", "load_in_4bit") if options[option]]:
        raise UserError(
            f"{pretrained!r}: weights of ShieldGemma 2 are asked as they are; leave out {' and '.join(refused)}"
        )
    model: PreTrainedModel = load_model(pretrained, auto_class=ShieldGemma2ForImageClassification, **options).model
    # That class generates nothing, and so does not read what ends an answer.
    with read_by_libraries(f"cannot load the settings of generation of {pretrained!r}: "):
        model.generation_config = GenerationConfig.from_pretrained(pretrained, revision=options["revision"])
    return model


class ShieldGemma2(HuggingFaceVLM):
    """As :class:`HuggingFaceVLM`, for weights of ShieldGemma 2."""

    load_processor = staticmethod(_load_processor)
    load_model = staticmethod(_load_model)

    def own_rules(self) -> Mapping[str, str]:
        """The rules that the processor holds, by name."""
        return dict(self._decoder.processor.policy_definitions)
