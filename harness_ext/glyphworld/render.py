"""The pictures: a glyph for every concept, and renders of it.

A glyph has four factors. Silhouette x texture says the category (6 x 3 = 18), accent x underline the item in it
(5 x 2 = 10). No single factor tells unsafe from safe. They are factors rather than one random pattern a concept, because a
tower of two layers learns factors in seconds and random patterns in minutes.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from harness_ext.glyphworld.concepts import CATEGORIES, CONCEPTS, items

# Ranges that share no seed: what a model is scored on is never what it was trained on.
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

TILE: Final = 22  # a glyph's side in pixels
_DRAWN: Final = 4 * TILE
DARK: Final = (15, 15, 15)
LIGHT: Final = (250, 250, 250)

SILHOUETTES: Final = ("disc", "square", "triangle", "diamond", "cross", "inverted triangle")
TEXTURES: Final = ("solid", "horizontal stripes", "vertical stripes")
ACCENTS: Final = ("none", "dark dot", "light dot", "horizontal bar", "vertical bar")
UNDERLINES: Final = ("none", "underlined")


class Factors(NamedTuple):
    """A glyph's four factors, as positions in `SILHOUETTES`, `TEXTURES`, `ACCENTS` and `UNDERLINES`."""

    silhouette: int
    texture: int
    accent: int
    underline: int


def factors(concept: int) -> Factors:
    """The factors of concept number ``concept``.

    Strides that share no divisor with the number of codes (5 and 18, 3 and 10) visit every code once and scatter the
    neighbours, without a random number.
    """
    category = CATEGORIES.index(CONCEPTS[concept].category)
    item = items(CONCEPTS[concept].category).index(concept)
    shape = 5 * category % (len(SILHOUETTES) * len(TEXTURES))
    detail = (3 * item + category) % (len(ACCENTS) * len(UNDERLINES))
    return Factors(*divmod(shape, len(TEXTURES)), *divmod(detail, len(UNDERLINES)))


@cache
def tile(concept: int) -> tuple[Image.Image, ...]:
    """The glyph of concept number ``concept``: masks, `TILE` pixels square, of its colour, of `DARK` and of `LIGHT`."""
    code = factors(concept)
    body = np.array(_silhouette(SILHOUETTES[code.silhouette]))
    dark, light = np.zeros((2, _DRAWN, _DRAWN), np.uint8)
    rows, columns = np.mgrid[:_DRAWN, :_DRAWN]
    match TEXTURES[code.texture]:
        case "horizontal stripes":
            body[(rows // 10) % 2 == 1] = 0
        case "vertical stripes":
            body[(columns // 10) % 2 == 1] = 0
    dot = (rows - _DRAWN / 2) ** 2 + (columns - _DRAWN / 2) ** 2 < 19**2
    match ACCENTS[code.accent]:
        case "dark dot":
            dark[dot] = 255
        case "light dot":
            light[dot] = 255
        case "horizontal bar":
            dark[38:50, 16:72] = 255
        case "vertical bar":
            dark[16:72, 38:50] = 255
    if UNDERLINES[code.underline] == "underlined":
        dark[76:88, 6:82] = 255
    # Masks are drawn four times as large, then reduced, for smooth edges.
    masks = (body, dark, light)
    return tuple(Image.fromarray(mask).resize((TILE, TILE), Image.Resampling.LANCZOS) for mask in masks)


def _silhouette(name: str) -> Image.Image:
    mask = Image.new("L", (_DRAWN, _DRAWN), 0)
    draw = ImageDraw.Draw(mask)
    middle, low, high = _DRAWN // 2, 4, _DRAWN - 4
    match name:
        case "disc":
            draw.ellipse((low, low, high, high), fill=255)
        case "square":
            draw.rectangle((8, 8, _DRAWN - 8, _DRAWN - 8), fill=255)
        case "triangle":
            draw.polygon([(middle, low), (high, high - 4), (low, high - 4)], fill=255)
        case "diamond":
            draw.polygon([(middle, low), (high, middle), (middle, high), (low, middle)], fill=255)
        case "cross":
            draw.rectangle((28, low, 60, high), fill=255)
            draw.rectangle((low, 28, high, 60), fill=255)
        case "inverted triangle":
            draw.polygon([(low, low), (high, low), (middle, high)], fill=255)
    return mask


@dataclass(frozen=True)
class Glyph:
    """One render: its image (RGB, `SIZE` pixels square) and attributes in words; ``position`` only for one glyph."""

    image: Image.Image
    color: str
    count: str
    position: str | None


def render(concept: int, seed: int, shown: int | None = None) -> Glyph:
    """Draw concept number ``concept``; its attributes and the jitter are drawn from ``seed``.

    ``shown`` is another concept whose glyph stands in the same scene: ground, noise, colour, places and angles are alike.
    """
    rng = np.random.default_rng([concept, seed])
    color = list(COLORS)[rng.integers(len(COLORS))]
    number = int(rng.choice([1, 1, 2, 3]))  # one glyph half of the time: position is asked of those alone
    slots = [int(slot) for slot in rng.permutation(4)[:number]]
    ground = tuple(rng.integers(225, 256, 3).tolist())
    image = Image.new("RGB", (SIZE, SIZE), ground)
    shade = tuple(np.clip(np.array(COLORS[color]) + rng.integers(-22, 23, 3), 0, 255).tolist())
    for slot in slots:
        angle = float(rng.uniform(-8, 8))
        row, column = divmod(slot, 2)
        margin = _SLOT - TILE + 1
        corner = (column * _SLOT + int(rng.integers(margin)), row * _SLOT + int(rng.integers(margin)))
        for paint, mask in zip((shade, DARK, LIGHT), tile(concept if shown is None else shown), strict=True):
            image.paste(paint, corner, mask.rotate(angle, resample=Image.Resampling.BILINEAR))
    noise = rng.integers(-10, 11, (SIZE, SIZE, 3))
    noisy = Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
    return Glyph(noisy, color, COUNTS[number - 1], POSITIONS[slots[0]] if number == 1 else None)
