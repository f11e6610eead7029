"""Drawing rollouts: every response has noise of its own, seeded by what it is the answer to.

What is drawn then depends neither on the batch, nor on the number of processes, nor on what was drawn before a checkpoint.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from transformers import GenerationConfig, PreTrainedModel

from harness_ext.models.generation import GenerationSettings, request_seed, seeded_sampling


def greedy(config: GenerationConfig) -> GenerationSettings:
    """Make ``config`` greedy, in place, and say what sampling it asked for: the noise samples, not `generate`."""
    settings = GenerationSettings(do_sample=True, temperature=config.temperature or 1.0)
    config.do_sample = False
    config.temperature = config.top_p = config.top_k = config.min_p = None
    return settings


def row_seeds(seed: int, rollout: int, rows: Sequence[int]) -> list[int]:
    """A seed for every response of a rollout, of its places ``rows`` among those of all processes."""
    return [request_seed(seed, "rollout", rollout, row) for row in rows]


@contextmanager
def seeded(model: PreTrainedModel, settings: GenerationSettings, seeds: list[int]) -> Iterator[None]:
    """Within it, ``model.generate`` answers row i of its batch with the noise of ``seeds[i]``."""
    model.generate = partial(model.generate, logits_processor=seeded_sampling(settings, seeds))
    try:
        yield
    finally:
        del model.generate
