"""Renders: a concept's glyph, once to three times, in a colour, on a pale ground, with jitter.

A render is fixed by its concept and its seed. Seeds come in ranges that share no member, so that what a model is scored
on is never what it was trained on.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from harness_ext.glyphworld.tiles import DARK, LIGHT, TILE, tile

PRETRAINING_SEEDS: Final = range(0, 1_000)  # the base model's training
DEVELOPMENT_SEEDS: Final = range(1_000, 2_000)  # choosing the recipe's settings
TEST_SEEDS: Final = range(2_000, 3_000)  # every reported figure, every evaluation task
ALIGNMENT_SEEDS: Final = range(3_000, 10_000)  # fine-tuning of the base model (SFT, DPO, PPO)

SIZE: Final = 48  # an image's side in pixels
_SLOT: Final = SIZE // 2  # glyphs sit in the four quarters
COLORS: Final = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 80, 230),
    "yellow": (230, 210, 40),
    "purple": (160, 50, 190),
    "orange": (245, 140, 30),
}
COUNTS: Final = ("one", "two", "three")
POSITIONS: Final = ("top left", "top right", "bottom left", "bottom right")


@dataclass(frozen=True)
class Glyph:
    """One render: its image (RGB, `SIZE` pixels square) and attributes in words; ``position`` only for one glyph."""

    image: Image.Image
    color: str
    count: str
    position: str | None


def render(
    concept: int, seed: int, *, color: str | None = None, count: str | None = None, position: str | None = None
) -> Glyph:
    """Draw concept number ``concept`` with the jitter of ``seed``; attributes not given are drawn from the seed too.

    Raises:
        ValueError: For an unknown colour, count or position word, or a position for more than one glyph.
    """
    rng = np.random.default_rng([concept, seed])
    drawn_color = list(COLORS)[rng.integers(len(COLORS))]
    drawn_count = int(rng.choice([1, 1, 2, 3]))  # one glyph half of the time: position is asked of those alone
    color = drawn_color if color is None else color
    number = drawn_count if count is None else _index("count", COUNTS, count) + 1
    if position is not None and count is None:
        number = 1
    if position is not None and number != 1:
        raise ValueError(f"position {position!r} needs one glyph, found count {count!r}: leave one of the two out")
    slots = [int(slot) for slot in rng.permutation(4)[:number]]
    if position is not None:
        slots = [_index("position", POSITIONS, position)]
    _index("color", tuple(COLORS), color)
    image = _draw(concept, COLORS[color], slots, rng)
    return Glyph(image, color, COUNTS[number - 1], POSITIONS[slots[0]] if number == 1 else None)


def blank() -> Image.Image:
    """The plain white image that goes with a text question in the ``blank`` variant of the text-only probe."""
    return Image.new("RGB", (SIZE, SIZE), (255, 255, 255))


def _draw(concept: int, color: tuple[int, int, int], slots: list[int], rng: np.random.Generator) -> Image.Image:
    ground = tuple(int(value) for value in rng.integers(225, 256, 3))
    image = Image.new("RGB", (SIZE, SIZE), ground)
    shade = tuple(int(value) for value in np.clip(np.array(color) + rng.integers(-22, 23, 3), 0, 255))
    masks = tile(concept)
    for slot in slots:
        angle = float(rng.uniform(-8, 8))
        row, column = divmod(slot, 2)
        margin = _SLOT - TILE + 1
        corner = (column * _SLOT + int(rng.integers(margin)), row * _SLOT + int(rng.integers(margin)))
        for paint, mask in zip((shade, DARK, LIGHT), masks, strict=True):
            image.paste(paint, corner, mask.rotate(angle, resample=Image.Resampling.BILINEAR))
    noise = rng.integers(-10, 11, (SIZE, SIZE, 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def _index(attribute: str, words: tuple[str, ...], word: str) -> int:
    if word not in words:
        raise ValueError(f"unknown {attribute} {word!r}: expected one of {', '.join(words)}")
    return words.index(word)
