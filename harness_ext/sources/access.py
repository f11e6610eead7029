"""Where each set of images is, and whether it can be had: found out within seconds and before any long work.

A set is a repository on the hub, or the local copy that the user names; which of the two is the user's word alone. Light on
purpose (no datasets, no torch), because every evaluation imports it as it starts.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from huggingface_hub import HfApi, constants

from harness_ext.common.errors import SourceError
from harness_ext.common.hub import TIMEOUT, cached_snapshot, call_within, httpx, hub_in_reach

METADATA_NAMES: Final = ("metadata.jsonl", "metadata.csv")
_NO_LABELLED_SET: Final = (
    "Or set {} to a local copy: a parquet file, a folder of parquet files, or a `save_to_disk` folder "
    "(columns index, image, label)."
)
_NO_SAFE_IMAGES: Final = (
    "Download yiting/imagenet_1k_unique_class where there is a network, or set UNSAFECONCEPTS_SAFE_PATH to a local copy: a "
    "parquet file, a folder of parquet files, a `save_to_disk` folder (columns image, concept), or a folder of images with "
    "metadata.jsonl or metadata.csv (keys file_name, concept)."
)


@dataclass(frozen=True)
class ImageSet:
    """One set of images.

    Attributes:
        title: Its name in results.
        repo: Its repository on the hub.
        variable: The environment variable that names a local copy.
        no_access: What to do where the hub does not give it.
        no_copy: What a local copy must be.
        columns: The text columns of a copy that is a folder of images; none where that layout is not accepted.
        gated: Whether one has to ask the hub for access, and be logged in.
    """

    title: str
    repo: str
    variable: str
    no_access: str
    no_copy: str
    columns: tuple[str, ...] = ()
    gated: bool = True

    @property
    def local_copy(self) -> Path | None:
        """The user's local copy, ``None`` where there is none."""
        value = os.environ.get(self.variable)
        return Path(value).expanduser().absolute() if value else None


def _labelled_set(title: str, repo: str, variable: str) -> ImageSet:
    remedy = _NO_LABELLED_SET.format(variable)
    return ImageSet(title, repo, variable, remedy, remedy)


SETS: Final[Mapping[str, ImageSet]] = {
    "images": ImageSet(
        "UnsafeConcepts",
        "yiting/UnsafeConcepts",
        "UNSAFECONCEPTS_PATH",
        "Or set UNSAFECONCEPTS_PATH to a local copy, or try the harmless stand-in: "
        "lmms_eval --model glyph-vlm --tasks glyphworld",
        "Expected a parquet file, a folder of parquet files, a `save_to_disk` folder, "
        "or a folder of images with metadata.jsonl or metadata.csv (keys file_name, category, unsafe_concept).",
        columns=("category", "unsafe_concept"),
    ),
    "safe": ImageSet(
        "ImageNet",
        "yiting/imagenet_1k_unique_class",
        "UNSAFECONCEPTS_SAFE_PATH",
        _NO_SAFE_IMAGES,
        _NO_SAFE_IMAGES,
        columns=("concept",),
        gated=False,
    ),
    "smid": _labelled_set("SMID", "yiting/SMID", "UNSAFECONCEPTS_SMID_PATH"),
    "nsfw": _labelled_set("NSFW", "yiting/NSFWDataset", "UNSAFECONCEPTS_NSFW_PATH"),
}


def check_access(name: str, timeout: float = TIMEOUT) -> None:
    """Return if the images of a set can be had; otherwise raise ``SourceError`` within ``timeout`` seconds.

    A local copy is only looked at from outside here (is it there, in a known layout); loading it checks its rows. Of a set
    without a gate a complete copy in the hub cache is enough: the hub has nothing to refuse.
    """
    images = SETS[name]
    if (path := images.local_copy) is not None:
        find_layout(images, path)
    elif images.gated:
        hub_in_reach(timeout, images.repo, images.no_access)
    elif cached_snapshot(images.repo) is None:
        absent = f"{images.repo} is not complete in the cache {constants.HF_HUB_CACHE}, and "
        if constants.HF_HUB_OFFLINE:
            raise SourceError(f"{absent}HF_HUB_OFFLINE is set.", images.no_access)
        try:
            call_within(timeout, lambda: HfApi().dataset_info(images.repo))
        except (httpx.HTTPError, OSError) as error:
            late = isinstance(error, TimeoutError)
            refused = f"does not give it ({type(error).__name__}: {str(error)[:200]})"
            said = f"did not answer within {timeout:g} s." if late else refused
            raise SourceError(f"{absent}{constants.ENDPOINT} {said}", images.no_access) from error


# --- the layout of a local copy, told by file names alone -------------------------------------------------------------


class Layout(NamedTuple):
    """How a local copy is kept, and the files that say so (for ``saved``: the folder)."""

    kind: Literal["parquet", "saved", "images"]
    files: tuple[Path, ...]


def find_layout(images: ImageSet, path: Path) -> Layout:
    """The layout of the local copy at ``path``; ``SourceError`` if there is none, more than one, or one not accepted."""
    if not path.exists():
        raise SourceError(f"{images.variable} names {path}, which does not exist.", images.no_copy)
    found = _layouts(path)
    if len(found) != 1:
        kinds = " and ".join(layout.kind for layout in found) or "none of the layouts that can be read"
        raise SourceError(f"{images.variable} names {path}, which holds {kinds}.", images.no_copy)
    if found[0].kind == "images" and not images.columns:
        raise SourceError(f"{images.variable} names {path}, which is a folder of images.", images.no_copy)
    return found[0]


def _layouts(path: Path) -> list[Layout]:
    if path.is_file():
        return [Layout("parquet", (path,))] if path.suffix == ".parquet" else []
    found = []
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        found.append(Layout("saved", (path,)))
    found += [Layout("images", (path / name,)) for name in METADATA_NAMES if (path / name).is_file()]
    # In name order, which is row order for shards; hidden folders are download tools' own.
    files = sorted(file.relative_to(path) for file in path.rglob("*.parquet"))
    if parquet := tuple(path / file for file in files if not any(part.startswith(".") for part in file.parts)):
        found.append(Layout("parquet", parquet))
    return found
