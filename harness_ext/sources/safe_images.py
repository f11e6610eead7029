"""Safe images, to train and test on beside the unsafe ones: photographs of ImageNet classes.

Source: the hub dataset ``yiting/imagenet_1k_unique_class`` of the paper's authors (Qu, Backes, Zhang, USENIX Security 2025,
arXiv 2507.11155), which is not gated, or the local copy that ``UNSAFECONCEPTS_SAFE_PATH`` names. Which of the two is the
user's word alone.
"""

import functools
from pathlib import Path
from typing import Final

import datasets
from huggingface_hub import HfApi, constants

from harness_ext.common.errors import SourceError
from harness_ext.common.hub import TIMEOUT, cached_snapshot, call_within, download, httpx, read_snapshot
from harness_ext.sources.access import local_copy, named_layout
from harness_ext.sources.local import load_local
from harness_ext.sources.prepared import check_images

SAFE_REPO: Final = "yiting/imagenet_1k_unique_class"
SAFE_PATH_VARIABLE: Final = "UNSAFECONCEPTS_SAFE_PATH"
_FEATURES: Final = datasets.Features(image=datasets.Image(), concept=datasets.Value("string"))
_REMEDY: Final = (
    f"Download {SAFE_REPO} where there is a network, or set {SAFE_PATH_VARIABLE} to a local copy: a parquet file, a folder "
    "of parquet files, a `save_to_disk` folder (columns image, concept), or a folder of images with metadata.jsonl or "
    "metadata.csv (keys file_name, concept)."
)


def check_safe_access(timeout: float = TIMEOUT) -> None:
    """Return if the safe images can be had; otherwise raise ``SourceError`` within ``timeout`` seconds.

    A local copy is only looked at from outside; loading it checks its rows. Without one, a complete copy in the hub cache
    is enough: where there is no gate, the hub has nothing to refuse.
    """
    if (path := local_copy(SAFE_PATH_VARIABLE)) is not None:
        named_layout(path, SAFE_PATH_VARIABLE, _REMEDY)
    elif cached_snapshot(SAFE_REPO) is None:
        absent = f"{SAFE_REPO} is not complete in the cache {constants.HF_HUB_CACHE}, and "
        if constants.HF_HUB_OFFLINE:
            raise SourceError(f"{absent}HF_HUB_OFFLINE is set.", _REMEDY)
        try:
            call_within(timeout, lambda: HfApi().dataset_info(SAFE_REPO))
        except TimeoutError as error:
            raise SourceError(f"{absent}{constants.ENDPOINT} did not answer within {timeout:g} s.", _REMEDY) from error
        except (httpx.HTTPError, OSError) as error:
            raise SourceError(
                f"{absent}{constants.ENDPOINT} does not give it ({type(error).__name__}: {str(error)[:200]})", _REMEDY
            ) from error


def load_safe_images() -> tuple[datasets.Dataset, str]:
    """The safe images (columns ``image`` and ``concept``, the class's name), and their source's name for results.

    The name is ``yiting/imagenet_1k_unique_class@<commit>``, or the local copy's path. Loaded and checked once a process;
    the first use of a copy opens every image once. Raises ``SourceError`` if they are out of reach or unreadable.
    """
    check_safe_access()
    return _load(local_copy(SAFE_PATH_VARIABLE))


@functools.cache
def _load(path: Path | None) -> tuple[datasets.Dataset, str]:
    # A complete copy in the cache serves without asking the hub.
    folder = path or cached_snapshot(SAFE_REPO) or download(SAFE_REPO)
    name = str(path) if path else f"{SAFE_REPO}@{folder.name}"
    raw = _read_local(folder) if path else read_snapshot(folder, name)
    if missing := [column for column in _FEATURES if column not in raw.column_names]:
        raise SourceError(f"{name}: missing column {', '.join(missing)}; found {', '.join(raw.column_names)}", _REMEDY)
    for row, concept in enumerate(raw["concept"]):
        if not isinstance(concept, str) or not concept:
            raise SourceError(f"{name}, row {row}: expected a class's name under 'concept', found {concept!r}")
    rows = raw.select_columns(list(_FEATURES)).cast_column("image", datasets.Image())
    check_images(rows, name)
    return rows, name


def _read_local(path: Path) -> datasets.Dataset:
    layout = named_layout(path, SAFE_PATH_VARIABLE, _REMEDY)
    return _read_images(layout.files[0]) if layout.kind == "images" else load_local(path)


def _read_images(metadata: Path) -> datasets.Dataset:
    """The images that ``metadata`` lists, in its order."""
    kind = "csv" if metadata.suffix == ".csv" else "json"
    try:
        listed = datasets.load_dataset(kind, data_files=str(metadata), split="train")
    except (datasets.exceptions.DatasetsError, ValueError, OSError) as error:
        cause = error.__cause__ or error
        raise SourceError(f"{metadata} cannot be read: {type(cause).__name__}: {cause}") from error
    if missing := [key for key in ("file_name", "concept") if key not in listed.column_names]:
        raise SourceError(
            f"{metadata}: missing key {', '.join(missing)}; found {', '.join(listed.column_names)}", _REMEDY
        )
    files = [metadata.parent / str(name) for name in listed["file_name"]]
    for row, file in enumerate(files):
        if not file.is_file():
            raise SourceError(f"{metadata}, row {row}: the image {file} does not exist")
    columns = {"image": [str(file) for file in files], "concept": listed["concept"][:]}
    return datasets.Dataset.from_dict(columns, features=_FEATURES)
