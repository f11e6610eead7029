"""The settings of a training run; the cache keys a built model by them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """The settings of both stages of training."""

    renders: int = 50
    """Training renders of each concept."""
    tower_steps: int = 350
    tower_batch: int = 128
    tower_rate: float = 2e-3
    lookup_steps: int = 60
    """First steps of the language stage, on lookups alone."""
    seeing_steps: int = 150
    """The steps after those, on what an image shows, before any verdict."""
    language_steps: int = 800
    """Steps of the language stage, those two kinds included."""
    language_batch: int = 64
    language_parts: int = 4
    """Parts of a batch, sorted by length, that are computed one after the other: less padding, the same gradient."""
    language_rate: float = 2e-3
    warmup_steps: int = 40
    decay_share: float = 0.4
    """Share of the language stage's steps over which its learning rate falls to 2 %, linearly."""
    weight_decay: float = 0.01
    verdict_weight: float = 8.0
    """Weight of a Yes or No in its answer's loss; every other token has 1."""
