"""Safe images, to train and test on beside the unsafe ones: one of each ImageNet class.

Source: the hub dataset ``yiting/imagenet_1k_unique_class`` that the paper's authors publish (Qu, Backes, Zhang, USENIX
Security 2025, arXiv 2507.11155), not gated; or the local copy that ``UNSAFECONCEPTS_SAFE_PATH`` names.
"""

import functools
import os
from pathlib import Path
from typing import Final

import datasets
from huggingface_hub import HfApi, constants, snapshot_download

from harness_ext.benchmark.sources.access import TIMEOUT
from harness_ext.benchmark.sources.errors import SourceError
from harness_ext.benchmark.sources.network import call_within, httpx

SAFE_REPO: Final = "yiting/imagenet_1k_unique_class"
SAFE_PATH_VARIABLE: Final = "UNSAFECONCEPTS_SAFE_PATH"
_COLUMNS: Final = ("image", "concept")
_REMEDY: Final = (
    f"Download {SAFE_REPO} where there is a network, or set {SAFE_PATH_VARIABLE} to a local copy: a parquet file, a "
    "folder of them, or a `save_to_disk` folder, with the columns image and concept."
)


@functools.cache
def load_safe_images() -> tuple[datasets.Dataset, str]:
    """The safe images (columns ``image`` and ``concept``), and their source's name for results.

    Raises ``SourceError``, within seconds where the hub does not answer, if they cannot be had.
    """
    named = os.environ.get(SAFE_PATH_VARIABLE)
    folder = Path(named).expanduser().absolute() if named else _snapshot()
    name = str(folder) if named else f"{SAFE_REPO}@{folder.name}"
    try:
        rows = _read(folder)
    except (datasets.exceptions.DatasetsError, ValueError, OSError) as error:
        raise SourceError(f"{name} cannot be read: {type(error).__name__}: {error}", _REMEDY) from error
    if missing := [column for column in _COLUMNS if column not in rows.column_names]:
        raise SourceError(f"{name}: missing column {', '.join(missing)}; found {', '.join(rows.column_names)}", _REMEDY)
    return rows.select_columns(list(_COLUMNS)).cast_column("image", datasets.Image()), name


def _read(path: Path) -> datasets.Dataset:
    if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
        saved = datasets.load_from_disk(str(path))
        return saved if isinstance(saved, datasets.Dataset) else saved["train"]
    files = [path] if path.suffix == ".parquet" else sorted(path.rglob("*.parquet"))
    if not all(file.is_file() for file in files) or not files:
        raise SourceError(f"{path} holds no parquet file and no saved data set.", _REMEDY)
    return datasets.load_dataset("parquet", data_files=[str(file) for file in files], split="train")


def _snapshot() -> Path:
    """The folder of the dataset's files in the hub cache, named by its commit; downloads what is missing."""
    try:
        if not constants.HF_HUB_OFFLINE:
            call_within(TIMEOUT, lambda: HfApi().dataset_info(SAFE_REPO))
        return Path(snapshot_download(SAFE_REPO, repo_type="dataset", local_files_only=constants.HF_HUB_OFFLINE))
    except (httpx.HTTPError, OSError) as error:  # TimeoutError is an OSError; so is a snapshot that is not in the cache
        reason = " ".join(str(error).split())[:200] or f"no answer within {TIMEOUT:g} s"
        raise SourceError(f"{SAFE_REPO} cannot be had ({type(error).__name__}: {reason})", _REMEDY) from error
