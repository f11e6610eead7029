"""UnsafeConcepts as a dataset: 1,567 images of 75 unsafe concepts, checked against the taxonomy.

Source: the gated hub dataset ``yiting/UnsafeConcepts`` (Qu, Backes, Zhang, USENIX Security 2025, arXiv 2507.11155), or
the local copy that ``UNSAFECONCEPTS_PATH`` names. Which of the two is the user's word alone.
"""

import functools
from pathlib import Path

import datasets

from harness_ext.benchmark.check import check_columns, check_images, check_rows
from harness_ext.benchmark.sources.access import REPO, benchmark_in_reach
from harness_ext.benchmark.sources.local import load_local
from harness_ext.common.hub import download, read_snapshot


@functools.cache
def load(path: Path | None) -> tuple[datasets.Dataset, str]:
    """The dataset of the local copy at ``path``, or of the hub where that is ``None``, and its name for results.

    Columns and errors as of ``sources.load_unsafeconcepts``.
    """
    if path is not None:
        return _checked(load_local(path), str(path)), str(path)
    snapshot = download(REPO, local_files_only=not benchmark_in_reach())
    name = f"{REPO}@{snapshot.name}"
    return _checked(read_snapshot(snapshot, name), name), name


def _checked(raw: datasets.Dataset, name: str) -> datasets.Dataset:
    check_columns(raw.column_names, name)
    check_rows(list(raw["unsafe_concept"]), list(raw["category"]), name)
    dataset = (
        raw.select_columns(["image", "unsafe_concept", "category"])
        .rename_column("unsafe_concept", "concept")
        .cast_column("image", datasets.Image())
        .add_column("row", list(range(len(raw))))
        .add_column("label", ["unsafe"] * len(raw))
    )
    check_images(dataset, name)
    return dataset
