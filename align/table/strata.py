"""Accuracy on unsafe images by how the original judged the same concept: an answer that is never drawn is never rewarded."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from align.table.crossed import Array, Figure, share
from align.table.measures import IMAGE, Evaluated, Measure, counts

ORIGINAL: Final = "original"
TITLE: Final = "Unsafe images, by the share of the same concept's that the original judged right (same seed)"
_UNSAFE: Final = Measure("", IMAGE, lambda record: record.label == "unsafe")
_STRATA: Final = {"at most 10 %": (-1.0, 0.1), "10 to 50 %": (0.1, 0.5), "more than 50 %": (0.5, 1.0)}


def strata(methods: Mapping[str, Sequence[Evaluated]]) -> dict[str, dict[str, Figure]]:
    """By method, its accuracy in each stratum of concepts; a concept may lie in another one with another seed.

    Args:
        methods: The evaluations of every method, one a seed; the original's among them.

    Returns:
        By method and stratum, whose name tells how many of all pairs of seed and concept lie in it; strata that some seed has
        no concept in are left out.
    """
    counted = {method: counts(_UNSAFE, evaluated) for method, evaluated in methods.items()}
    right, asked = counted[ORIGINAL]
    rates = right / asked
    inside = {name: ((rates > low) & (rates <= high)) for name, (low, high) in _STRATA.items()}
    named = {f"{name} ({mask.sum()} of {mask.size})": mask for name, mask in inside.items() if mask.any(1).all()}
    return {
        method: {name: share(_inside(right, mask), _inside(asked, mask)) for name, mask in named.items()}
        for method, (right, asked) in counted.items()
    }


def _inside(counted: Array, mask: NDArray[np.bool_]) -> Array:
    """Of the concepts that lie in the stratum with any seed, the counts of those seeds; both of shape (seeds, concepts)."""
    here: Array = (counted * mask)[:, mask.any(0)]
    return here
