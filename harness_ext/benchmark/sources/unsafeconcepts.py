"""UnsafeConcepts as a dataset: 1,567 images of 75 unsafe concepts, checked against the taxonomy.

Source: the gated hub dataset ``yiting/UnsafeConcepts`` (Qu, Backes, Zhang, USENIX Security 2025, arXiv 2507.11155), or
the local copy that ``UNSAFECONCEPTS_PATH`` names. Which of the two is the user's word alone.
"""

import functools
from pathlib import Path

import datasets
from huggingface_hub import snapshot_download

from harness_ext.benchmark.check import check_columns, check_images, check_rows
from harness_ext.benchmark.sources.access import REPO, hub_in_reach
from harness_ext.benchmark.sources.errors import SourceError
from harness_ext.benchmark.sources.local import load_local
from harness_ext.benchmark.sources.network import httpx


@functools.cache
def load(path: Path | None) -> tuple[datasets.Dataset, str]:
    """The dataset of the local copy at ``path``, or of the hub where that is ``None``, and its name for results.

    Columns and errors as of ``sources.load_unsafeconcepts``.
    """
    if path is not None:
        return _checked(load_local(path), str(path)), str(path)
    snapshot = _snapshot()
    name = f"{REPO}@{snapshot.name}"
    try:
        raw = datasets.load_dataset(str(snapshot), split="train")
    except (datasets.exceptions.DatasetsError, ValueError, OSError) as error:
        cause = error.__cause__ or error
        raise SourceError(
            f"{name} cannot be read: {type(cause).__name__}: {cause}",
            f"If the download was cut off or damaged, delete {snapshot.parent.parent} and run again.",
        ) from error
    return _checked(raw, name), name


def _snapshot() -> Path:
    """The folder of the dataset's files in the hub cache, named by its commit; downloads what is missing."""
    in_reach = hub_in_reach()
    try:
        return Path(snapshot_download(REPO, repo_type="dataset", local_files_only=not in_reach))
    except (httpx.HTTPError, OSError) as error:
        raise SourceError(
            f"the download of {REPO} broke off: {type(error).__name__}: {error}",
            "Run again: it goes on where it stopped.",
        ) from error


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
