"""Whether the images of UnsafeConcepts can be had, found out within seconds and before any long work.

The dataset is gated on the Hugging Face hub: one has to ask for access, and be logged in.
"""

import os
from pathlib import Path
from typing import Final

from harness_ext.benchmark.sources.layout import find_layout
from harness_ext.common.hub import TIMEOUT, hub_in_reach

REPO: Final = "yiting/UnsafeConcepts"
PATH_VARIABLE: Final = "UNSAFECONCEPTS_PATH"
_OTHERWISE: Final = (
    f"Or set {PATH_VARIABLE} to a local copy, or try the harmless stand-in: "
    "lmms_eval --model glyph-vlm --tasks glyphworld"
)


def local_copy(variable: str = PATH_VARIABLE) -> Path | None:
    """The local copy that an environment variable names, or ``None`` where it names none."""
    value = os.environ.get(variable)
    return Path(value).expanduser().absolute() if value else None


def check_access(timeout: float = TIMEOUT) -> None:
    """Return if the images can be had; otherwise raise ``SourceError`` within ``timeout`` seconds.

    A local copy is only looked at from outside here (is it there, in a known layout); loading it checks its rows.
    """
    path = local_copy()
    if path is not None:
        find_layout(path)
    else:
        benchmark_in_reach(timeout)


def benchmark_in_reach(timeout: float = TIMEOUT) -> bool:
    """As :func:`harness_ext.common.hub.hub_in_reach`, for UnsafeConcepts."""
    return hub_in_reach(timeout, REPO, _OTHERWISE)
