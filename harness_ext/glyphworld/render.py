"""The pictures: a glyph for every concept, and renders of it.

A glyph is a small mask of four factors. Silhouette x texture says the category (6 x 3 = 18), accent x underline says the
item in it (5 x 2 = 10). No single factor tells unsafe from safe: every silhouette, texture, accent and underline occurs on
both sides. Factors rather than one random pattern a concept, because a tower of two layers learns factors in seconds and
random patterns in minutes.

A render shows the glyph once to three times, in a colour, on a pale ground, with jitter. It is fixed by its concept and its
seed. Seeds come in ranges that share no member, so that what a model is scored on is never what it was trained on.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from harness_ext.glyphworld.concepts import CATEGORIES, CONCEPTS, items

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
_DRAWN: Final = 4 * TILE  # masks are drawn four times as large, then reduced, for smooth edges
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


class Tile(NamedTuple):
    """A drawn glyph: masks of what is painted in the glyph's colour, in `DARK` and in `LIGHT`, in that order."""

    body: Image.Image
    dark: Image.Image
    light: Image.Image


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
def tile(concept: int) -> Tile:
    """The glyph of concept number ``concept``, `TILE` pixels square."""
    code = factors(concept)
    body = np.array(_silhouette(SILHOUETTES[code.silhouette]))
    rows, columns = np.mgrid[:_DRAWN, :_DRAWN]
    if TEXTURES[code.texture] == "horizontal stripes":
        body[(rows // 10) % 2 == 1] = 0
    elif TEXTURES[code.texture] == "vertical stripes":
        body[(columns // 10) % 2 == 1] = 0
    dark, light = _accent(ACCENTS[code.accent]), np.zeros((_DRAWN, _DRAWN), np.uint8)
    if ACCENTS[code.accent] == "light dot":
        dark, light = light, dark
    if UNDERLINES[code.underline] == "underlined":
        dark[76:88, 6:82] = 255
    return Tile(_reduced(body), _reduced(dark), _reduced(light))


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


def _accent(name: str) -> NDArray[np.uint8]:
    mask = np.zeros((_DRAWN, _DRAWN), np.uint8)
    rows, columns = np.mgrid[:_DRAWN, :_DRAWN]
    middle = _DRAWN / 2
    match name:
        case "dark dot" | "light dot":
            mask[(rows - middle) ** 2 + (columns - middle) ** 2 < 19**2] = 255
        case "horizontal bar":
            mask[38:50, 16:72] = 255
        case "vertical bar":
            mask[16:72, 38:50] = 255
    return mask


def _reduced(mask: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(mask).resize((TILE, TILE), Image.Resampling.LANCZOS)


@dataclass(frozen=True)
class Glyph:
    """One render: its image (RGB, `SIZE` pixels square) and attributes in words; ``position`` only for one glyph."""

    image: Image.Image
    color: str
    count: str
    position: str | None


def render(concept: int, seed: int) -> Glyph:
    """Draw concept number ``concept``; its attributes and the jitter are drawn from ``seed``."""
    rng = np.random.default_rng([concept, seed])
    color = list(COLORS)[rng.integers(len(COLORS))]
    number = int(rng.choice([1, 1, 2, 3]))  # one glyph half of the time: position is asked of those alone
    slots = [int(slot) for slot in rng.permutation(4)[:number]]
    image = _draw(concept, COLORS[color], slots, rng)
    return Glyph(image, color, COUNTS[number - 1], POSITIONS[slots[0]] if number == 1 else None)


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
