"""A hub dataset's files in the hub cache: downloaded whole, and read; what goes wrong is said with its remedy."""

from pathlib import Path

import datasets
from huggingface_hub import snapshot_download

from harness_ext.benchmark.sources.errors import SourceError
from harness_ext.benchmark.sources.network import httpx


def download(repo: str, *, local_files_only: bool = False) -> Path:
    """The folder of the files of ``repo`` in the hub cache, named by its commit; downloads what is missing.

    Raises ``SourceError`` if the download breaks off.
    """
    try:
        return Path(snapshot_download(repo, repo_type="dataset", local_files_only=local_files_only))
    except (httpx.HTTPError, OSError) as error:
        raise SourceError(
            f"the download of {repo} broke off: {type(error).__name__}: {error}",
            "Run again: it goes on where it stopped.",
        ) from error


def read_snapshot(folder: Path, name: str) -> datasets.Dataset:
    """The rows of the split ``train`` in ``folder``, as they are; ``SourceError`` that says ``name`` if it cannot be read."""
    try:
        return datasets.load_dataset(str(folder), split="train")
    except (datasets.exceptions.DatasetsError, ValueError, OSError) as error:
        cause = error.__cause__ or error
        raise SourceError(
            f"{name} cannot be read: {type(cause).__name__}: {cause}",
            f"If the download was cut off or damaged, delete {folder.parent.parent} and run again.",
        ) from error
