"""Loading weights, adapters and processors, with errors that say what to do."""

import os
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedModel, ProcessorMixin

from harness_ext.errors import UserError

_DTYPES = {"auto", "float32", "bfloat16", "float16"}


def load_processor(pretrained: str, revision: str | None, trust_remote_code: bool) -> ProcessorMixin:
    """The processor of a checkpoint, padding on the left, as batched generation needs it.

    Raises:
        UserError: There is none, or it has no chat template to format a prompt with.
    """
    try:
        processor = AutoProcessor.from_pretrained(pretrained, revision=revision, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot load the processor of {pretrained!r}: {error}") from error
    if not isinstance(processor, ProcessorMixin) or not getattr(processor, "chat_template", None):
        raise UserError(
            f"{pretrained!r} has no chat template of its own ({type(processor).__name__}); "
            "save one into its folder as chat_template.jinja"
        )
    tokenizer = processor.tokenizer
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return processor


def load_model(
    pretrained: str,
    *,
    revision: str | None,
    adapter: str | None,
    dtype: str,
    device: str | None,
    device_map: str | None,
    attn_implementation: str | None,
    trust_remote_code: bool,
) -> PreTrainedModel:
    """The model in evaluation mode, on its device, with its adapter. Raises ``UserError`` for what cannot be loaded."""
    if dtype not in _DTYPES:
        raise UserError(f"dtype must be one of {', '.join(sorted(_DTYPES))}, found {dtype!r}")
    if device and device_map:
        raise UserError("give either device or device_map, not both")
    options: dict[str, Any] = {"attn_implementation": attn_implementation} if attn_implementation else {}
    try:
        model = AutoModelForImageTextToText.from_pretrained(
            pretrained,
            revision=revision,
            dtype=dtype if dtype == "auto" else getattr(torch, dtype),
            device_map=device_map,
            trust_remote_code=trust_remote_code,
            **options,
        )
    except (OSError, ValueError) as error:
        raise UserError(f"cannot load the weights of {pretrained!r}: {error}") from error
    if not device_map:
        target = device or default_device()
        try:
            model = model.to(torch.device(target))
        except RuntimeError as error:
            raise UserError(f"cannot put the model on device {target!r}: {error}") from error
    if adapter:
        model = _with_adapter(model, adapter, pretrained)
    return model.eval()


def default_device() -> str:
    """The GPU of this process where there is one (``LOCAL_RANK`` under torchrun), else the CPU."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"


def _with_adapter(model: PreTrainedModel, adapter: str, pretrained: str) -> PreTrainedModel:
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, adapter)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"cannot put the adapter {adapter!r} on {pretrained!r}: {error}") from error
