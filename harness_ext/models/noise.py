"""The noise that samples: each row's own, from its seed alone, whatever is beside it in the batch.

Adding Gumbel noise to scores makes their largest a sample of their softmax (Gumbel, 1954). On a CPU the noise is that of
PyTorch's generators, one a row; results on disk rest on it. On a GPU these would cost a loop over the rows and a copy at
every token, so the noise there is SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA
2014), computed for all rows at once from seed, step and token. It is integer arithmetic and thus the same on every GPU, up to
the rounding of logarithms, but other noise than on a CPU.
"""

from collections.abc import Sequence
from typing import Final

import torch
from transformers import LogitsProcessor

# Of SplitMix64, as signed numbers: each round shifts, and multiplies.
_STEP: Final = 0x9E3779B97F4A7C15 - 2**64
_ROUNDS: Final = ((30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64), (31, 1))


class GumbelNoise(LogitsProcessor):
    """Adds Gumbel noise to the scores of each row.

    Args:
        seeds: One seed a row, shape (B,), of 63 bits.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._seeds, self._steps = torch.tensor(seeds), 0

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Noisy scores, shape (B, V) as given, in float32."""
        count = scores.shape[1]
        if scores.is_cuda:
            self._seeds = self._seeds.to(scores.device)
            uniform = uniforms(self._seeds, self._steps * count, count)
            self._steps += 1
        else:
            rows = [torch.rand(count, generator=each, dtype=torch.float64) for each in self._generators]
            uniform = torch.stack(rows)
        gumbel = -torch.log(-torch.log(uniform.clamp_min(torch.finfo(torch.float64).tiny)))
        return scores.float() + gumbel.to(scores.device, torch.float32)  # type: ignore[return-value]


def drawn_by(device: torch.device) -> tuple[str, ...]:
    """What identifies the noise on ``device``; nothing where it is PyTorch's generators."""
    return ("splitmix64",) if device.type == "cuda" else ()


def uniforms(seeds: torch.Tensor, first: int, count: int) -> torch.Tensor:
    """Numbers of SplitMix64 between 0 and 1, 1 excluded, in float64; shape (B, count).

    Args:
        seeds: One a row, int64, shape (B,).
        first: The place in each row's sequence of the first number, from 0 on.
        count: How many.
    """
    places = torch.arange(first + 1, first + count + 1, device=seeds.device)
    state = seeds[:, None] + places * _STEP  # int64 wraps around
    for shift, factor in _ROUNDS:
        state ^= _shifted(state, shift)
        state *= factor
    return _shifted(state, 11).double() * 2.0**-53


def _shifted(state: torch.Tensor, bits: int) -> torch.Tensor:
    """``state`` shifted right with zeros, as the unsigned numbers that its bits mean."""
    return (state >> bits) & (2 ** (64 - bits) - 1)
