"""Whether the weights of a model fit into memory, known before they are loaded.

Nothing is guessed: where the size of the weights or the free memory is unknown, a line of the log says so, and the model is
loaded.
"""

import gc
import math
import pickle
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import psutil
import torch
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, NotASafetensorsRepoError, SafetensorsParsingError
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]
from loguru import logger
from safetensors import safe_open

from harness_ext.common.errors import UserError
from harness_ext.common.reading import read_json
from harness_ext.models.checkpoint import require_weights

_GIB: Final = 2**30
_PRECISIONS: Final = ("float64", "float32", "bfloat16", "float16")
# By safetensors' names.
_TYPES: Final = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "U64": torch.uint64, "I32": torch.int32, "U32": torch.uint32, "I16": torch.int16, "U16": torch.uint16,
    "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool, "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2, "F8_E8M0": torch.float8_e8m0fnu,
}  # fmt: skip

# How many elements there are of each type.
Elements = Counter[torch.dtype]


def bytes_needed(elements: Elements, dtype: str | None) -> int:
    """The bytes of ``elements`` loaded in ``dtype``, as torch calls it; as they are stored for ``None``."""
    total = 0
    for stored, count in elements.items():
        # Loading converts numbers of floating point, except those of eight bits.
        converts = stored.is_floating_point and stored.itemsize > 1
        total += count * (getattr(torch, dtype) if dtype and converts else stored).itemsize
    return total


def elements_in(files: Iterable[Path]) -> Elements | None:
    """What the files, which are whole, hold; ``None`` if that cannot be known."""
    elements: Elements = Counter()
    for file in files:
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as tensors:
                for part in map(tensors.get_slice, tensors.keys()):
                    if (stored := _TYPES.get(part.get_dtype())) is None:
                        return None
                    elements[stored] += math.prod(part.get_shape())
            continue
        try:
            loaded = torch.load(file, map_location="meta", mmap=True, weights_only=True)
        except (RuntimeError, pickle.UnpicklingError, EOFError):
            return None
        # A tensor may have several names.
        for tensor in {value.untyped_storage()._cdata: value for value in loaded.values()}.values():
            elements[tensor.dtype] += tensor.numel()
    return elements


def elements_on_hub(repo: str, revision: str | None) -> Elements | None:
    """What a hub repository's weights hold; ``None``, with a logged line, if the hub does not say."""
    try:
        counts = HfApi().get_safetensors_metadata(repo, revision=revision).parameter_count
    except (NotASafetensorsRepoError, SafetensorsParsingError, HfHubHTTPError, httpx.HTTPError, OSError) as error:
        logger.info(f"the hub does not say how large the weights of {repo!r} are: {type(error).__name__}")
        return None
    known = counts.keys() <= _TYPES.keys()
    return Counter({_TYPES[name]: count for name, count in counts.items()}) if known else None


def require_memory(
    pretrained: str,
    folder: Path,
    *,
    revision: str | None,
    dtype: str,
    device: str,
    device_map: str | None,
    available: int | None = None,
) -> None:
    """Raise ``UserError`` if the weights alone do not fit; log a line and return if that cannot be known.

    ``folder`` is where the ``config.json`` of ``pretrained`` is; ``available`` is in bytes, by default what is free now. The
    other arguments are those of loading. Raises ``UserError`` also where files of the weights are missing.
    """
    files = require_weights(pretrained, folder)
    elements = elements_in(files) if files else elements_on_hub(pretrained, revision)
    if available is None:
        available = free_bytes(None if device_map else torch.device(device))
    if elements is None or available is None:
        lacking = "the size of its weights is" if elements is None else "the free memory is"
        logger.info(f"whether {pretrained!r} fits into memory is not checked beforehand: {lacking} not known")
        return
    target = precision_of(folder) if dtype == "auto" else dtype
    needed = bytes_needed(elements, target)
    if needed > available:
        place = f"all devices (device_map={device_map})" if device_map else device
        raise UserError(
            f"the weights of {pretrained!r} need {needed / _GIB:.2f} GiB in {target or 'the precision they are stored in'}, "
            f"and {available / _GIB:.2f} GiB are free on {place}.\n{_remedies(elements, needed, device, device_map)}"
        )


def precision_of(folder: Path) -> str | None:
    """What ``dtype="auto"`` means: what the checkpoint's configuration names, if it names any."""
    config = read_json(folder / "config.json", last_wins=True)
    named = str(config.get("dtype") or config.get("torch_dtype")).removeprefix("torch.")
    return named if named in _PRECISIONS else None


def _remedies(elements: Elements, needed: int, device: str, device_map: str | None) -> str:
    ways = ["dtype=bfloat16"] if needed > bytes_needed(elements, "bfloat16") else []
    if not device_map and torch.device(device).type == "cuda":
        ways.append("device_map=auto, which takes all GPUs and then the computer's memory")
    asked = f"Add to --model_args {' or '.join(ways)}, or take" if ways else "Take"
    return f"{asked} a smaller model or a machine with more memory"


def free_bytes(device: torch.device | None) -> int | None:
    """Free memory of ``device``, or of all GPUs and the computer together for ``None``; ``None`` where it is not known."""
    if device is not None and device.type == "cpu":
        return _free_in_computer()
    if device is not None and device.type != "cuda":
        return None
    # What an earlier model of this process has left behind is free too.
    gc.collect()
    torch.cuda.empty_cache()
    if device is not None:
        return torch.cuda.mem_get_info(device)[0]
    return _free_in_computer() + sum(torch.cuda.mem_get_info(gpu)[0] for gpu in range(torch.cuda.device_count()))


def _free_in_computer() -> int:
    available = int(psutil.virtual_memory().available)
    return min([available, *cgroup_limits(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))])


def cgroup_limits(root: Path, own: Path) -> list[int]:
    """The bytes that this process's control groups, and those around them, leave free; empty where there is no limit.

    ``root`` is where control groups of either version are mounted, ``own`` the file that names this process's.
    """
    free = []
    for line in own.read_text().splitlines() if own.is_file() else []:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            base = root / controllers
            group = base / path.lstrip("/")
            # In a container the path may be the host's; what is mounted is then the group itself.
            for folder in (group, *group.parents):
                free += _free_in_group(folder) if folder.is_relative_to(base) else []
    return free


def _free_in_group(group: Path) -> list[int]:
    """What one control group leaves free (https://docs.kernel.org/admin-guide/cgroup-v2.html, and cgroup-v1/memory)."""
    limit, usage, kept = group / "memory.max", group / "memory.current", ("inactive_file ", "active_file ")
    if not limit.is_file():
        limit, usage = group / "memory.limit_in_bytes", group / "memory.usage_in_bytes"
        kept = ("total_inactive_file ", "total_active_file ")
    if not limit.is_file() or (most := limit.read_text().strip()) == "max":
        return []
    # What is only kept from files is given back when memory is asked for.
    lines = (group / "memory.stat").read_text().splitlines()
    returned = sum(int(line.split()[1]) for line in lines if line.startswith(kept))
    return [max(0, int(most) - int(usage.read_text()) + returned)]
