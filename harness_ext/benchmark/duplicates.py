"""Near-duplicate images, so that no image is tested on that was all but trained on."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_CELLS: Final = 32
_WAVES: Final = 8


def perceptual_hash(image: Image.Image) -> int:
    """64 bits that outlive scaling, recompression, a change of brightness or contrast, and a small overlay.

    Whether each of the 8 x 8 slowest waves of the image, in grey and 32 x 32 cells large, is stronger than their median.
    Mirrored, turned or cropped images are not recognised. Source: C. Zauner, "Implementation and Benchmarking of
    Perceptual Image Hash Functions", 2010, there the hash based on the discrete cosine transform.
    """
    grey = image.convert("L").resize((_CELLS, _CELLS), Image.Resampling.LANCZOS)
    waves = dctn(np.asarray(grey, dtype=np.float64))[:_WAVES, :_WAVES]
    return int.from_bytes(np.packbits(waves > np.median(waves)).tobytes(), "big")


def groups(hashes: Sequence[int], bits: int) -> npt.NDArray[np.int32]:
    """The number of each image's group, shape (N,): hashes that differ by at most ``bits`` share one, in chains too."""
    values = np.array(hashes, dtype=np.uint64)
    near = [np.flatnonzero(np.bitwise_count(values[at] ^ values[at:]) <= bits) + at for at in range(len(values))]
    ends = np.concatenate(near) if near else np.array([], np.int64)
    starts = np.repeat(np.arange(len(values)), [len(each) for each in near])
    graph = coo_array((np.ones(len(ends), bool), (starts, ends)), shape=(len(values), len(values)))
    return connected_components(graph, directed=False)[1]


def keep_together(in_train: Sequence[bool], group: Sequence[int]) -> list[bool]:
    """The sides of images, a group's all on the side of most of it, on the training side where both have as many."""
    votes: dict[int, int] = {}
    for number, train in zip(group, in_train, strict=True):
        votes[number] = votes.get(number, 0) + (1 if train else -1)
    return [votes[number] >= 0 for number in group]
