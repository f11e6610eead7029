"""Loading weights, adapters and processors, with errors that say what to do, as early as they can be known."""

import importlib.util
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

import torch
from loguru import logger
from PIL import Image
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForMultimodalLM,
    AutoProcessor,
    BitsAndBytesConfig,
    PreTrainedModel,
    ProcessorMixin,
)
from transformers.integrations import deepspeed

from harness_ext.common.errors import UserError, one_line, shown
from harness_ext.common.files import digest
from harness_ext.common.reading import read_json
from harness_ext.common.seals import SEAL, is_sealed, require_unchanged
from harness_ext.common.time_limit import rendering, time_limit
from harness_ext.models.checkpoint import (
    auto_map,
    hub_file,
    locate,
    processor_files_missing,
    read_by_libraries,
    require_weights,
    require_whole,
    weight_files,
)
from harness_ext.models.entries import prompt_text
from harness_ext.models.resources import precision_of, require_memory
from harness_ext.models.together import shared_out

_DTYPES: Final = ("auto", "bfloat16", "float16", "float32")
# What a repository may name its own code for a VLM.
_CLASSES: Final = {"AutoModelForImageTextToText", "AutoModelForMultimodalLM"}
_TRIAL: Final = "What does this image show?"
ANY_BASE: Final = "any"
# Set by accelerate's launcher; transformers then may read weights in a machine's first process alone.
_FIRST_ALONE: Final = "FSDP_CPU_RAM_EFFICIENT_LOADING"
_CONFIGURATION: Final = "adapter_config.json"
# In the order in which PEFT looks for them.
_FILES: Final = ("adapter_model.safetensors", "adapter_model.bin")
# Parts that PEFT keeps once and shows at several places; they need not be in a checkpoint.
_SHARED: Final = ("vblora_vector_bank", "prompt_encoder")


def load_processor(
    pretrained: str, revision: str | None, trust_remote_code: bool, prompt: str | None = None
) -> ProcessorMixin:
    """The processor of a checkpoint, padding on the left, as batched generation needs it.

    ``prompt`` is a chat template, or the name of a packaged one, instead of the processor's own. Raises ``UserError`` where
    there is no processor, or nothing that formats a prompt with an image.
    """
    cannot = f"cannot load the processor of {pretrained!r}: "
    folder = locate(pretrained, revision, "processor")
    missing = processor_files_missing(folder) if Path(pretrained).is_dir() else ""
    if missing and not (folder / "tokenizer_config.json").is_file():
        # Transformers would guess, and some tokenizers would read other tokens.
        raise UserError(cannot + missing)
    with read_by_libraries(cannot, instead=missing):
        processor = AutoProcessor.from_pretrained(pretrained, revision=revision, trust_remote_code=trust_remote_code)
    if not isinstance(processor, ProcessorMixin):
        found = f"expected one for images and text, found a {type(processor).__name__}"
        raise UserError(cannot + "; ".join(filter(None, [found, missing])))
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
        with rendering(which):
            text = processor.apply_chat_template(turns, add_generation_prompt=True)
            # A template for text alone shows the list of parts as Python does.
            if _TRIAL not in text or "'type'" in text:
                raise UserError(f"{problem}it makes {text[:200]!r} of one")
            processor.apply_chat_template(
                turns, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
            )
    except ValueError as error:
        raise UserError(f"{problem}{error}") from error


def load_model(
    pretrained: str,
    *,
    revision: str | None,
    dtype: str,
    device: str | None,
    device_map: str | None = None,
    adapter: str | None = None,
    adapter_base: str | None = None,
    attn_implementation: str | None = None,
    trust_remote_code: bool = False,
    auto_class: Any = AutoModelForMultimodalLM,
    load_in_4bit: bool = False,
    tp_plan: str | None = None,
    sharded: bool = False,
) -> PreTrainedModel:
    """The model in evaluation mode, on its device, with its adapter, loaded by ``auto_class``.

    With ``sharded``, FSDP or DeepSpeed spreads the weights over processes: they stay where transformers put them, and need
    not fit on one device. Without, every process has all of them, whatever started it.
    The other arguments are the options of :class:`harness_ext.models.hf.HuggingFaceVLM`.

    Raises:
        UserError: Files are missing, the adapter is for other weights, or they do not fit into memory; all of these before
            the weights are read.
    """
    target = checked_device(dtype, device, device_map)
    folder = locate(pretrained, revision, "weights")
    check_adapter(adapter, pretrained, adapter_base)
    if trust_remote_code and _CLASSES & auto_map(folder / "config.json").keys():
        raise UserError(
            f"the model of {pretrained!r} is code of its own repository, which this backend does not load: transformers 5 "
            "leaves tables that such code computes unfilled.\nCogVLM, XComposer2 and MiniCPM-V have backends of their own"
        )
    place = "cpu" if sharded else target
    options: dict[str, Any] = {"attn_implementation": attn_implementation} if attn_implementation else {}
    placed: Any = device_map
    if load_in_4bit:
        options["quantization_config"] = four_bits(folder, dtype, auto_class)
        placed = device_map or {"": target}  # where its weights lie, their four bits are packed
    elif tp_plan:
        # How much of them each device has is the plan's matter.
        require_weights(pretrained, folder)
        options["distributed_config"] = shared_out(pretrained, folder, auto_class)
    else:
        require_memory(pretrained, folder, revision=revision, dtype=dtype, device=place, device_map=device_map)
    spread = nullcontext() if sharded else _whole_in_every_process()
    with read_by_libraries(f"cannot load the weights of {pretrained!r}: "), spread:
        model, report = auto_class.from_pretrained(
            pretrained,
            revision=revision,
            dtype=dtype if dtype == "auto" else getattr(torch, dtype),
            device_map=placed,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            **options,
        )
    if lacking := sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]])):
        # Transformers fills them at random, and says so in a table.
        raise UserError(
            f"the weights of {pretrained!r} lack {len(lacking)} tensors that the model has, {lacking[0]} the first:\n"
            "the checkpoint is incomplete, or of another version of transformers"
        )
    _let_the_tower_look_both_ways(model)
    if not placed and not sharded and not tp_plan:
        try:
            model = model.to(torch.device(target))
        except RuntimeError as error:
            raise UserError(f"cannot put the model on device {target!r}: {one_line(error)}") from error
    if adapter:
        model = put_adapter(model, adapter, pretrained)
    return model.eval()


@contextmanager
def _whole_in_every_process() -> Iterator[None]:
    """Within it, transformers may neither leave a model to the first process (FSDP) nor spread it as it is made (ZeRO-3)."""
    config, fsdp = deepspeed._hf_deepspeed_config_weak_ref, os.environ.pop(_FIRST_ALONE, None)
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        deepspeed._hf_deepspeed_config_weak_ref = config
        if fsdp is not None:
            os.environ[_FIRST_ALONE] = fsdp


def four_bits(folder: Path, dtype: str, auto_class: Any = AutoModelForMultimodalLM) -> BitsAndBytesConfig:
    """How a checkpoint is loaded in four bits, as QLoRA has it (arXiv 2305.14314): NF4, with nested scales.

    The linear layers of the language model have four bits, and compute in ``dtype``. The vision tower, the projector,
    embeddings and output keep their precision. Raises ``UserError`` where bitsandbytes is not installed.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError(
            "load_in_4bit: needs bitsandbytes, which is not installed: pip install 'unsafeconcepts[qlora]', or bitsandbytes"
        )
    config = AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        shapes = auto_class.from_config(config)
    served = {id(each) for each in shapes.get_decoder().modules()}
    whole = [path for path, each in shapes.named_modules() if isinstance(each, nn.Linear) and id(each) not in served]
    named = precision_of(folder) if dtype == "auto" else dtype
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=named or "float32",
        llm_int8_skip_modules=whole,
    )


def _let_the_tower_look_both_ways(model: PreTrainedModel) -> None:
    """Undo a fault of transformers 5.23: Phi-4's vision tower says it is causal, and is, wherever no image is padded.

    Its patches would see earlier ones alone, and which images are asked together would change the answers.
    """
    for module in model.modules():
        if type(module).__name__ == "Phi4MultimodalVisionAttention":
            module.is_causal = False


def checked_dtype(dtype: str) -> None:
    """Raise ``UserError`` unless ``dtype`` is known here."""
    if dtype not in _DTYPES:
        raise UserError(f"dtype must be one of {', '.join(_DTYPES)}, found {dtype!r}")


def checked_device(dtype: str, device: str | None, device_map: str | None) -> str:
    """The device named, or the default one.

    Raises ``UserError`` where it cannot be used, the model's place is named twice, or ``dtype`` is not known here.
    """
    checked_dtype(dtype)
    if device and device_map:
        raise UserError("give either device or device_map, not both")
    target = device or default_device()
    try:
        torch.empty(1, device=torch.device(target))
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"cannot put the model on device {target!r}: {one_line(error)}") from error
    return target


def default_device() -> str:
    """The GPU of this process where there is one (``LOCAL_RANK`` under torchrun), else the CPU."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"


def check_adapter(adapter: str | None, pretrained: str, adapter_base: str | None = None) -> None:
    """Raise ``UserError`` unless ``adapter`` is a whole and finite PEFT adapter for ``pretrained``; reads the adapter alone.

    Each is a folder or a hub repository. The adapter must name ``pretrained`` as its base, or a copy of it, unless
    ``adapter_base`` is ``"any"``.
    """
    if not adapter:
        if adapter_base:
            raise UserError("adapter_base is given, but no adapter")
        return
    if adapter_base not in (None, ANY_BASE):
        raise UserError(f"adapter_base must be {ANY_BASE!r} or left out, found {adapter_base!r}")
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING

    cannot = f"cannot put the adapter {adapter!r} on {pretrained!r}: "
    if is_sealed(folder := Path(adapter)):
        remedy = f"restore it from a copy, or remove {SEAL} if the change is yours"
        require_unchanged(folder, cannot, remedy, names=(_CONFIGURATION, *_FILES))
    config = read_json(_configuration(adapter, cannot))
    if str(kind := config.get("peft_type")) not in {str(each.value) for each in PEFT_TYPE_TO_CONFIG_MAPPING}:
        raise UserError(f"{cannot}its adapter_config.json names no known peft_type, found {shown(kind)}")
    _require_sound(adapter, cannot)
    base = config.get("base_model_name_or_path")
    if adapter_base is None and not (base and _same_weights(str(base), pretrained)):
        named = f"its base is {shown(base)}" if base else "it does not name its base"
        raise UserError(f"{cannot}{named}.\nIf they are the same weights, add adapter_base={ANY_BASE} to --model_args")


def _require_sound(adapter: str, cannot: str) -> None:
    """Raise ``UserError`` unless the adapter's file is whole, and every number in it is finite."""
    from peft.utils import load_peft_weights

    named = [file for file in (Path(adapter) / name for name in _FILES) if file.is_file()]
    if named:
        require_whole(named[0], cannot)
    with read_by_libraries(f"{cannot}its tensors cannot be read: "):
        tensors = load_peft_weights(adapter, device="cpu")
    if not isinstance(tensors, dict) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise UserError(f"{cannot}expected tensors by name in {named[0] if named else adapter}, found something else")
    if wrong := [name for name, value in tensors.items() if not value.float().isfinite().all()]:
        raise UserError(
            f"{cannot}{len(wrong)} of {len(tensors)} tensors in {named[0] if named else adapter} hold values that are not "
            f"finite (NaN or infinite), {wrong[0]} the first.\nTheir training had diverged: take an earlier checkpoint of it"
        )


def _configuration(adapter: str, cannot: str) -> Path:
    folder = Path(adapter)
    if not folder.is_dir():
        return hub_file(adapter, None, _CONFIGURATION, cannot)
    for names in ((_CONFIGURATION,), _FILES):
        if not any((folder / name).is_file() for name in names):
            raise UserError(f"{cannot}the folder has no {', nor '.join(names)}; expected what save_pretrained writes")
    return folder / _CONFIGURATION


def _same_weights(base: str, pretrained: str) -> bool:
    if _repository(base) == _repository(pretrained):
        return True
    folders = Path(base), Path(pretrained)
    # Unlike a Path's, os.path's takes any text for a name.
    if not all(map(os.path.isdir, folders)):
        return False
    return folders[0].resolve() == folders[1].resolve() or _contents(folders[0]) == _contents(folders[1])


def _repository(name: str) -> str:
    """A hub repository's name, also of a snapshot in the hub's cache; a folder as it is."""
    found = re.search(r"models--([^/]+)--([^/]+)/snapshots/", name + "/")
    return (f"{found[1]}/{found[2]}" if found else name.rstrip("/")).lower()


def _contents(folder: Path) -> list[tuple[str, str]]:
    """Names and digests of the configuration and the weights: the same for copies of one checkpoint."""
    files, _ = weight_files(folder)
    return [(file.name, digest(file)) for file in [folder / "config.json", *files] if file.is_file()]


def _require_quick_patterns(model: PreTrainedModel, config: Mapping[str, Any], cannot: str) -> None:
    """Raise ``UserError`` where a regular expression of an adapter is none, or takes long on the names of the layers."""
    written = [config.get(name) for name in ("target_modules", "exclude_modules", "layers_pattern")]
    for name in ("rank_pattern", "alpha_pattern"):
        if not isinstance(of_layers := config.get(name) or {}, dict):
            raise UserError(f"{cannot}{name} of its adapter_config.json: expected a mapping, found {shown(of_layers)}")
        written += of_layers
    names = [name for name, _ in model.named_modules()]
    for pattern in [each for each in written if isinstance(each, str)]:
        try:
            with time_limit(f"{cannot}its adapter_config.json's pattern {shown(pattern)}"):
                for name in names:
                    re.fullmatch(pattern, name)
                    re.fullmatch(rf"(.*\.)?({pattern})", name)
        except (re.error, RecursionError, OverflowError) as error:
            raise UserError(f"{cannot}its adapter_config.json's pattern {shown(pattern)}: {error}") from error


def put_adapter(model: PreTrainedModel, adapter: str, pretrained: str) -> PreTrainedModel:
    """``model`` with ``adapter`` on it. Raises ``UserError`` if it does not fit, or only in part (PEFT would warn)."""
    from peft import PeftModel

    cannot = f"cannot put the adapter {adapter!r} on {pretrained!r}: "
    _require_quick_patterns(model, read_json(_configuration(adapter, cannot)), cannot)
    # Names of an older transformers; PEFT translates them the first time, and keeps no record of what did not fit.
    renamed = getattr(model, "_checkpoint_conversion_mapping", {})
    with read_by_libraries(cannot):
        adapted = PeftModel.from_pretrained(model, adapter)
        config = adapted.peft_config["default"]
        mapping = None if config.is_prompt_learning else renamed
        result = adapted.load_adapter(adapter, "default", torch_device="cpu", key_mapping=mapping)
    missing = [name for name in result.missing_keys if not any(part in name for part in _SHARED)]
    for names, problem in ((missing, "lacks"), (list(result.unexpected_keys), "has, without a place in the model,")):
        if names:
            raise UserError(f"{cannot}it {problem} {len(names)} tensors, such as {names[0]}")
    return adapted
