"""The glyphs: one small mask a concept, made of four factors.

Silhouette x texture says the category (6 x 3 = 18), accent x underline says the item in it (5 x 2 = 10). No single
factor tells unsafe from safe: every silhouette, texture, accent and underline occurs on both sides. Factors rather than
one random pattern a concept, because a tower of two layers learns factors in seconds and random patterns in minutes.
"""

from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from harness_ext.glyphworld.concepts import CATEGORIES, CONCEPTS, items

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
    body = np.array(_silhouette(code.silhouette))
    rows, columns = np.mgrid[:_DRAWN, :_DRAWN]
    if TEXTURES[code.texture] == "horizontal stripes":
        body[(rows // 10) % 2 == 1] = 0
    elif TEXTURES[code.texture] == "vertical stripes":
        body[(columns // 10) % 2 == 1] = 0
    dark, light = _accent(code.accent), np.zeros((_DRAWN, _DRAWN), np.uint8)
    if ACCENTS[code.accent] == "light dot":
        dark, light = light, dark
    if UNDERLINES[code.underline] == "underlined":
        dark[76:88, 6:82] = 255
    return Tile(_reduced(body), _reduced(dark), _reduced(light))


def _silhouette(silhouette: int) -> Image.Image:
    mask = Image.new("L", (_DRAWN, _DRAWN), 0)
    draw = ImageDraw.Draw(mask)
    middle, low, high = _DRAWN // 2, 4, _DRAWN - 4
    match SILHOUETTES[silhouette]:
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


def _accent(accent: int) -> NDArray[np.uint8]:
    mask = np.zeros((_DRAWN, _DRAWN), np.uint8)
    rows, columns = np.mgrid[:_DRAWN, :_DRAWN]
    middle = _DRAWN / 2
    match ACCENTS[accent]:
        case "dark dot" | "light dot":
            mask[(rows - middle) ** 2 + (columns - middle) ** 2 < 19**2] = 255
        case "horizontal bar":
            mask[38:50, 16:72] = 255
        case "vertical bar":
            mask[16:72, 38:50] = 255
    return mask


def _reduced(mask: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(mask).resize((TILE, TILE), Image.Resampling.LANCZOS)
