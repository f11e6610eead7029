"""The training renders, as arrays: every concept at every one of a range of seeds."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from harness_ext.glyphworld.concepts import CONCEPTS
from harness_ext.glyphworld.render import blank, render

BLANK: Final = -1  # the image number of the blank image


@dataclass(frozen=True)
class Renders:
    """Renders with their labels.

    Attributes:
        pixels: (images + 1, 3, size, size) bytes; the last one is the blank image, number `BLANK`.
        concepts: The concept's number, an image each.
        attributes: By skill (color, count, position), the word, an image each.
    """

    pixels: torch.Tensor
    concepts: list[int]
    attributes: dict[str, list[str | None]]

    @classmethod
    def draw(cls, seeds: range) -> "Renders":
        """Draw every concept at every seed, seed by seed."""
        concepts = [concept for _ in seeds for concept in range(len(CONCEPTS))]
        glyphs = [render(concept, seed) for seed in seeds for concept in range(len(CONCEPTS))]
        images = np.stack([np.asarray(image) for image in [*(glyph.image for glyph in glyphs), blank()]])
        attributes: dict[str, list[str | None]] = {
            "color": [glyph.color for glyph in glyphs],
            "count": [glyph.count for glyph in glyphs],
            "position": [glyph.position for glyph in glyphs],
        }
        return cls(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), concepts, attributes)


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """Bytes as the image processor hands them to the tower: rescaled to [0, 1], less 0.5, over 0.25."""
    return (pixels.float() / 255 - 0.5) / 0.25
