"""How large a checkpoint's weights are, from what its files say of themselves, without reading the weights."""

import math
import pickle
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import torch
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, NotASafetensorsRepoError, SafetensorsParsingError
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]
from loguru import logger

from harness_ext.models.checkpoint import safetensors_header

# Bytes of an element, by safetensors' names of types; those of floating point are what loading converts.
_FLOATS: Final = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_OTHERS: Final = {"I64": 8, "U64": 8, "I32": 4, "U32": 4, "I16": 2, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_EIGHT_BITS: Final = {"F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1}
_BYTES: Final = _FLOATS | _OTHERS | _EIGHT_BITS
_NAMES: Final = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip

# How many elements there are of each type.
Elements = Counter[str]


def bytes_needed(elements: Elements, dtype: str | None) -> int:
    """The bytes of ``elements`` loaded in ``dtype``, as torch calls it; as they are stored for ``None``."""
    width = torch.empty(0, dtype=getattr(torch, dtype)).element_size() if dtype else None
    return sum(count * (width if width and name in _FLOATS else _BYTES[name]) for name, count in elements.items())


def elements_in(files: Iterable[Path]) -> Elements | None:
    """What the files, which are whole, hold; ``None`` if that cannot be known."""
    elements: Elements = Counter()
    for file in files:
        counted = _in_safetensors(file) if file.suffix == ".safetensors" else _in_pickle(file)
        if counted is None:
            return None
        elements += counted
    return elements if elements.keys() <= _BYTES.keys() else None


def elements_on_hub(repo: str, revision: str | None) -> Elements | None:
    """What a hub repository's weights hold; ``None``, with a logged line, if the hub does not say."""
    try:
        elements: Elements = Counter(HfApi().get_safetensors_metadata(repo, revision=revision).parameter_count)
    except (NotASafetensorsRepoError, SafetensorsParsingError, HfHubHTTPError, httpx.HTTPError, OSError) as error:
        logger.info(f"the hub does not say how large the weights of {repo!r} are: {type(error).__name__}")
        return None
    return elements if elements.keys() <= _BYTES.keys() else None


def _in_safetensors(file: Path) -> Elements:
    elements: Elements = Counter()
    header, _ = safetensors_header(file, "cannot tell the size of the weights: ")
    for tensor in header.values():
        elements[tensor["dtype"]] += math.prod(tensor["shape"])
    return elements


def _in_pickle(file: Path) -> Elements | None:
    """From the list of tensors, each once however many names it has."""
    try:
        tensors = torch.load(file, map_location="meta", mmap=True, weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError):
        return None
    elements: Elements = Counter()
    for tensor in {value.untyped_storage()._cdata: value for value in tensors.values()}.values():
        elements[_NAMES.get(tensor.dtype, str(tensor.dtype))] += tensor.numel()
    return elements
