"""Arithmetic that rounds alike on every x86-64 processor with AVX2, so that a trained model's figures travel.

Left to themselves, torch, MKL and oneDNN choose kernels by the processor's maker, its vector width and its caches; they
add in different orders, training multiplies the differences, and the demo's gap moves by hundredths. Rounding weights after
each step would not help: two numbers that differ in the last bit can lie on both sides of a boundary of any grid.

So one kernel is chosen for everything: torch's own for AVX2; MKL's for any processor, which is documented to give the same
bits on all of them but is slow; and, in place of MKL, NumPy's OpenBLAS with its Haswell kernel for linear layers, where most
of the time goes. The variables must be set before any of these libraries is loaded: they are for a process of their own.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

_ONE_THREAD: Final = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
_KERNELS: Final = {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "COMPATIBLE", "OPENBLAS_CORETYPE": "Haswell"}


def environment() -> dict[str, str]:
    """The variables of a process that computes alike; a processor without AVX2 keeps its own kernels."""
    # torch.backends.cpu.get_cpu_capability, which is public, tells what a user's variables left of the processor.
    return _ONE_THREAD | (_KERNELS if torch.cpu._is_avx2_supported() else {})


@contextmanager
def alike() -> Iterator[None]:
    """Compute linear layers by NumPy, and nothing by oneDNN or NNPACK, whose blocks follow the processor's caches."""
    # Not by mkldnn.flags, which sets TF32 too and warns that this processor has none.
    before, *_ = torch.backends.mkldnn.set_flags(_enabled=False)
    try:
        with torch.backends.nnpack.flags(enabled=False), _LinearByNumpy():
            yield
    finally:
        torch.backends.mkldnn.set_flags(_enabled=before)


class _LinearByNumpy(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.nn.functional.linear:
            return _Linear.apply(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


class _Linear(torch.autograd.Function):
    """``inputs`` (…, in) times ``weight`` (out, in) transposed, plus ``bias`` (out,)."""

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        ctx.save_for_backward(inputs, weight)
        ctx.has_bias = bias is not None
        outputs = _product(inputs.flatten(0, -2), weight.T).view(*inputs.shape[:-1], len(weight))
        return outputs if bias is None else outputs + bias

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        inputs, weight = ctx.saved_tensors
        gradient = gradients[0].flatten(0, -2)
        needed = ctx.needs_input_grad
        return (
            _product(gradient, weight).view(inputs.shape) if needed[0] else None,
            _product(gradient.T, inputs.flatten(0, -2)) if needed[1] else None,
            gradient.sum(0) if ctx.has_bias else None,
        )[: len(needed)]


def _product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.matmul(left.detach().numpy(), right.detach().numpy()))
