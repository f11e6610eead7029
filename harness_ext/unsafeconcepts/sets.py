"""The published sets of images, and whether they can be had. Light: no datasets, no torch.

Source: the hub datasets of the paper's authors (Qu, Backes, Zhang, USENIX Security 2025, arXiv 2507.11155).
"""

from collections.abc import Mapping
from functools import partial
from typing import Final

from harness_ext.sources import access
from harness_ext.sources.access import ImageSet

_set = partial(ImageSet, otherwise=", or try the harmless stand-in: lmms_eval --model glyph-vlm --tasks glyphworld")
SETS: Final[Mapping[str, ImageSet]] = {
    "images": _set("UnsafeConcepts", "yiting/UnsafeConcepts", "UNSAFECONCEPTS_PATH", ("category", "unsafe_concept")),
    "safe": _set("ImageNet", "yiting/imagenet_1k_unique_class", "UNSAFECONCEPTS_SAFE_PATH", ("concept",), gated=False),
    "smid": _set("SMID", "yiting/SMID", "UNSAFECONCEPTS_SMID_PATH", ("index", "label"), as_files=False),
    "nsfw": _set("NSFW", "yiting/NSFWDataset", "UNSAFECONCEPTS_NSFW_PATH", ("index", "label"), as_files=False),
}


def check_access(name: str) -> bool:
    """As ``sources.access.check_access``, of one of ``SETS``."""
    return access.check_access(SETS[name])
