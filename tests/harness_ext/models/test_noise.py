"""The noise that is computed where the scores are; what a CPU draws: test_generation.py."""

import torch
from scipy.stats import kstest

from harness_ext.models.generation import request_seed
from harness_ext.models.noise import uniforms

# What the reference implementation gives for the seed 1234567 (https://prng.di.unimi.it/splitmix64.c).
KNOWN = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]


def seeds(count: int) -> torch.Tensor:
    return torch.tensor([request_seed(0, row) for row in range(count)])


def test_it_is_splitmix64() -> None:
    assert uniforms(torch.tensor([1234567]), 0, 5)[0].tolist() == [(each >> 11) / 2**53 for each in KNOWN]


def test_a_rows_noise_is_its_own_and_its_steps_follow_each_other() -> None:
    """Alone, beside others and in another place; two steps of seven tokens are the sequence's first fourteen numbers."""
    together = uniforms(seeds(9), 0, 14)
    assert torch.equal(uniforms(seeds(9)[[4, 2]], 0, 14), together[[4, 2]])
    steps = [uniforms(seeds(9)[4:5], first, 7) for first in (0, 7)]
    assert torch.equal(torch.cat(steps, dim=1), together[4:5])


def test_numbers_are_uniform_along_rows_steps_and_the_seeds_that_follow_each_other() -> None:
    drawn = uniforms(seeds(400), 3 * 500, 500)
    follow = uniforms(torch.arange(200_000), 0, 1)
    for sample in (drawn.flatten(), drawn[7], drawn[:, 7], follow.flatten()):
        assert kstest(sample.numpy(), "uniform").pvalue > 1e-3
    assert torch.corrcoef(drawn[:2])[0, 1].abs() < 0.15
    assert torch.corrcoef(torch.stack([drawn[:-1].flatten(), drawn[1:].flatten()]))[0, 1].abs() < 0.01
