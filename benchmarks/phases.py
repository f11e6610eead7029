"""What is measured while a model is asked, for benchmarks: where the time goes, and the peak of memory."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from harness_ext.models import sharing
from harness_ext.models.hf import HuggingFaceVLM

PHASES = (
    "prompts as inputs",
    "vision tower",
    "prompts, or their shared beginnings",
    "rests of prompts",
    "copies of the cache",
    "answers' tokens",
    "everything else",
)


def clock(device: str) -> Callable[[], float]:
    """The seconds that count: on a CPU of processor time, since the machine may have other work; on a GPU of the wall's."""
    return time.process_time if device == "cpu" else time.perf_counter


def synchronize() -> None:
    """Wait for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@contextmanager
def peak_memory(device: str) -> Iterator[Callable[[], float]]:
    """A function that tells the peak since here, in GiB: of the GPU's allocations, or of this process."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        yield lambda: torch.cuda.max_memory_allocated() / 2**30
        return
    # Linux resets the process's high-water mark when 5 is written here.
    Path("/proc/self/clear_refs").write_text("5")
    yield lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


@contextmanager
def phases(model: HuggingFaceVLM) -> Iterator[dict[str, dict[str, float]]]:
    """Seconds and tokens (padding included; of the tower, images) by phase, of what ``model`` is asked inside.

    A GPU is waited for around each pass, so that the sum is longer than without looking.
    """
    found: dict[str, dict[str, float]] = {phase: {"seconds": 0.0, "tokens": 0} for phase in PHASES}
    now = clock(str(model.device))

    def timed(function: Callable[..., Any], phase: Callable[..., tuple[str, int]]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            name, tokens = phase(*args, **kwargs)
            synchronize()
            began = now()
            given = function(*args, **kwargs)
            synchronize()
            found[name]["seconds"] += now() - began
            found[name]["tokens"] += tokens
            return given

        return call

    def of_pass(*_: Any, **kwargs: Any) -> tuple[str, int]:
        rows, tokens = kwargs["inputs_embeds"].shape[:2]
        cache = kwargs.get(sharing.CACHE)
        if cache is None or not cache.get_seq_length():
            return PHASES[2], rows * tokens
        return PHASES[3 if tokens > 1 else 5], rows * tokens

    whole, decoder = model._model.base_model, model._decoder
    language, tower = whole.get_decoder(), whole.vision_tower
    with (
        patch.object(decoder, "encode", timed(decoder.encode, lambda *_: (PHASES[0], 0))),
        patch.object(tower, "forward", timed(tower.forward, lambda pixels, **_: (PHASES[1], len(pixels)))),
        patch.object(language, "forward", timed(language.forward, of_pass)),
        patch.object(sharing, "repeated", timed(sharing.repeated, lambda *_: (PHASES[4], 0))),
    ):
        began = now()
        yield found
        taken = now() - began
    found[PHASES[-1]]["seconds"] = taken - sum(each["seconds"] for each in found.values())
