"""Where the rows of a task come from: sources are named by the task, and none ever stands in for another.

``unsafeconcepts_*`` tasks read the gated hub dataset, or the local copy that ``UNSAFECONCEPTS_PATH`` names. Light on
purpose (no datasets, no torch): imported at the start of every evaluation, to fail within seconds where it must.
"""

from typing import TYPE_CHECKING

from harness_ext.benchmark.sources.access import check_access, local_copy

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["check_access", "describe", "load_unsafeconcepts"]


def load_unsafeconcepts() -> "Dataset":
    """UnsafeConcepts in published row order, loaded and checked once a process.

    Columns: ``image`` (``datasets.Image``), ``row`` (0 to 1566), ``concept``, ``category``, ``label`` (always
    ``"unsafe"``). The first use of a copy opens every image once. Raises ``SourceError`` if the source is out of reach,
    unreadable, or not the published dataset.
    """
    from harness_ext.benchmark.sources.unsafeconcepts import load

    return load(local_copy())[0]


def describe() -> str:
    """The source's name for results: ``yiting/UnsafeConcepts@<commit>``, or the local copy's path; loads it."""
    from harness_ext.benchmark.sources.unsafeconcepts import load

    return load(local_copy())[1]
