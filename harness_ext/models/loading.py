"""Loading weights, adapters and processors, with errors that say what to do, as early as they can be known."""

import os
from pathlib import Path
from typing import Any, Final

import torch
from jinja2 import TemplateError
from loguru import logger
from PIL import Image
from transformers import AutoModelForMultimodalLM, AutoProcessor, PreTrainedModel, ProcessorMixin

from harness_ext.common.errors import UserError
from harness_ext.models.adapters import check_adapter, put_adapter
from harness_ext.models.checkpoint import UNREADABLE, locate, processor_files_missing, read_json
from harness_ext.models.entries import prompt_text
from harness_ext.models.resources import require_memory

_DTYPES: Final = ("auto", "bfloat16", "float16", "float32")
# What a repository may name its own code for a VLM.
_CLASSES: Final = {"AutoModelForImageTextToText", "AutoModelForMultimodalLM"}
_TRIAL: Final = "What does this image show?"


def load_processor(
    pretrained: str, revision: str | None, trust_remote_code: bool, prompt: str | None = None
) -> ProcessorMixin:
    """The processor of a checkpoint, padding on the left, as batched generation needs it.

    Args:
        pretrained: A folder or a hub repository.
        revision: The commit, tag or branch of a hub repository.
        trust_remote_code: Whether code of the repository may run.
        prompt: A chat template, or the name of a packaged one; instead of the processor's own.

    Raises:
        UserError: There is none, or nothing that formats a prompt with an image.
    """
    cannot = f"cannot load the processor of {pretrained!r}: "
    folder = locate(pretrained, revision, "processor")
    missing = processor_files_missing(folder) if Path(pretrained).is_dir() else ""
    if missing and not (folder / "tokenizer_config.json").is_file():
        # Transformers would guess, and some tokenizers would read other tokens.
        raise UserError(cannot + missing)
    try:
        processor = AutoProcessor.from_pretrained(pretrained, revision=revision, trust_remote_code=trust_remote_code)
    except ImportError as error:
        raise UserError(cannot + _short(error)) from error
    except (OSError, ValueError, AttributeError, LookupError, TypeError) as error:
        raise UserError(cannot + (missing or _short(error))) from error
    if not isinstance(processor, ProcessorMixin):
        found = f"expected one for images and text, found a {type(processor).__name__}"
        raise UserError(cannot + (f"{found}; {missing}" if missing else found))
    tokenizer = processor.tokenizer
    if len(set(tokenizer(_TRIAL, add_special_tokens=False)["input_ids"])) < 2:
        # Transformers makes an empty tokenizer of some classes where the file of its words is not there.
        raise UserError(cannot + (missing or "its tokenizer knows no words; is its tokenizer.json there?"))
    tokenizer.padding_side = "left"
    # A saved side would be handed on to a second tokenizer (InstructBLIP's), whose model's positions count padding.
    tokenizer.init_kwargs.pop("padding_side", None)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if prompt:
        if processor.chat_template:
            logger.info(f"the chat template of {pretrained!r} is not used, but the prompt that was named instead")
        _take_template(processor, prompt_text(prompt), f"{cannot}the prompt that was named")
    elif not processor.chat_template and tokenizer.chat_template:
        _take_template(processor, tokenizer.chat_template, f"{cannot}it has no chat template, and its tokenizer's")
    elif not processor.chat_template:
        raise UserError(
            f"{cannot}it has no chat template of its own ({type(processor).__name__}).\n"
            "Name one by `prompt: …` in a models file, or save one into its folder as chat_template.jinja, a merged model's "
            "from its base"
        )
    return processor


def _take_template(processor: ProcessorMixin, template: Any, which: str) -> None:
    """Give a processor a template that was not made for it, if it formats a trial prompt with an image."""
    processor.chat_template = template
    parts = [{"type": "image", "image": Image.new("RGB", (64, 64))}, {"type": "text", "text": _TRIAL}]
    turns = [{"role": "user", "content": parts}]
    problem = f"{which} does not format a prompt with an image: "
    try:
        text = processor.apply_chat_template(turns, add_generation_prompt=True)
        # A template for text alone shows the list of parts as Python does.
        if _TRIAL not in text or "'type'" in text:
            raise UserError(f"{problem}it makes {text[:200]!r} of one")
        processor.apply_chat_template(
            turns, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
    except (TemplateError, ValueError, TypeError, LookupError) as error:
        raise UserError(problem + _short(error)) from error


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
    adapter_base: str | None = None,
    auto_class: Any = AutoModelForMultimodalLM,
) -> PreTrainedModel:
    """The model in evaluation mode, on its device, with its adapter.

    Args:
        pretrained: A folder or a hub repository.
        revision: The commit, tag or branch of a hub repository.
        adapter: A folder or a hub repository of a PEFT adapter for these weights.
        dtype: ``"auto"`` (the checkpoint's), ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        device: As torch calls it; by default as :func:`default_device` says.
        device_map: As in transformers, instead of ``device``.
        attn_implementation: As in transformers.
        trust_remote_code: Whether code of the repository may run.
        adapter_base: ``"any"`` for an adapter that does not name these weights as its base.
        auto_class: The Auto class of transformers that loads it.

    Raises:
        UserError: Something cannot be loaded: files are missing, the adapter is for other weights, they do not fit into
            memory. All of these are found out before the weights are read.
    """
    check_options(dtype, device, device_map)
    target = _checked_device(device or default_device())
    folder = locate(pretrained, revision, "weights")
    check_adapter(adapter, pretrained, adapter_base)
    if trust_remote_code and _CLASSES & set(read_json(folder / "config.json").get("auto_map") or {}):
        raise UserError(
            f"the model of {pretrained!r} is code of its own repository, which this backend does not load: transformers 5 "
            "leaves tables that such code computes unfilled.\nCogVLM, XComposer2 and MiniCPM-V have backends of their own"
        )
    require_memory(pretrained, folder, revision=revision, dtype=dtype, device=target, device_map=device_map)
    options: dict[str, Any] = {"attn_implementation": attn_implementation} if attn_implementation else {}
    try:
        model, report = auto_class.from_pretrained(
            pretrained,
            revision=revision,
            dtype=dtype if dtype == "auto" else getattr(torch, dtype),
            device_map=device_map,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            **options,
        )
    except (OSError, ValueError, ImportError, RuntimeError, *UNREADABLE) as error:
        raise UserError(f"cannot load the weights of {pretrained!r}: {_short(error)}") from error
    if lacking := sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]])):
        # Transformers fills them at random, and says so in a table.
        raise UserError(
            f"the weights of {pretrained!r} lack {len(lacking)} tensors that the model has, {lacking[0]} the first:\n"
            "the checkpoint is incomplete, or of another version of transformers"
        )
    _let_the_tower_look_both_ways(model)
    if not device_map:
        try:
            model = model.to(torch.device(target))
        except RuntimeError as error:
            raise UserError(f"cannot put the model on device {target!r}: {_short(error)}") from error
    if adapter:
        model = put_adapter(model, adapter, pretrained)
    return model.eval()


def _let_the_tower_look_both_ways(model: PreTrainedModel) -> None:
    """Undo a fault of transformers 5.23: Phi-4's vision tower says it is causal, and is, wherever no image is padded.

    Its patches would see earlier ones alone, and which images are asked together would change the answers.
    """
    for module in model.modules():
        if type(module).__name__ == "Phi4MultimodalVisionAttention":
            module.is_causal = False


def check_options(dtype: str, device: str | None, device_map: str | None) -> None:
    """Raise ``UserError`` unless ``dtype`` is one that is known here, and the model's place is named once at most."""
    if dtype not in _DTYPES:
        raise UserError(f"dtype must be one of {', '.join(_DTYPES)}, found {dtype!r}")
    if device and device_map:
        raise UserError("give either device or device_map, not both")


def default_device() -> str:
    """The GPU of this process where there is one (``LOCAL_RANK`` under torchrun), else the CPU."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"


def _checked_device(device: str) -> str:
    """``device``, if torch knows it and it is there."""
    try:
        torch.empty(1, device=torch.device(device))
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"cannot put the model on device {device!r}: {_short(error)}") from error
    return device


def _short(error: Exception) -> str:
    """The first two lines that say something of an error of a library."""
    return "\n".join([line for line in str(error).splitlines() if line.strip()][:2]) or type(error).__name__
