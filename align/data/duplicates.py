"""Near-duplicate images, so that no image is tested on that was all but trained on."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Hashes = npt.NDArray[np.uint64]


def difference_hash(image: Image.Image) -> int:
    """A perceptual hash of 64 bits: whether each of 8 x 8 cells is brighter than its neighbour on the left.

    It outlives scaling, recompression and small changes of colour. Source: N. Krawetz, "Kind of Like That", 2013.
    """
    cells = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.LANCZOS), dtype=np.int16)
    bits = (cells[:, 1:] > cells[:, :-1]).ravel()
    return int("".join("1" if bit else "0" for bit in bits), 2)


def groups(hashes: Sequence[int], bits: int) -> npt.NDArray[np.int32]:
    """The number of each image's group, shape (N,): hashes that differ by at most ``bits`` share one, in chains too."""
    values: Hashes = np.array(hashes, dtype=np.uint64)
    pairs = [
        np.flatnonzero(np.bitwise_count(values[at] ^ values[at + 1 :]) <= bits) + at + 1 for at in range(len(values))
    ]
    left = np.repeat(np.arange(len(values)), [len(each) for each in pairs])
    right = np.concatenate(pairs) if pairs else np.array([], int)
    graph = coo_array((np.ones(len(left), bool), (left, right)), shape=(len(values), len(values)))
    return connected_components(graph, directed=False)[1]


def keep_together(in_train: Sequence[bool], group: Sequence[int]) -> list[bool]:
    """The sides of images, a group's all on the side of most of it, on the training side where both have as many."""
    votes: dict[int, int] = {}
    for number, train in zip(group, in_train, strict=True):
        votes[number] = votes.get(number, 0) + (1 if train else -1)
    return [votes[number] >= 0 for number in group]
