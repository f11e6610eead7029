"""Where a checkpoint's files are, whether they are all there, and what they are: found out before anything is loaded."""

import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from huggingface_hub import constants, get_token, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError, safe_open

from harness_ext.common.errors import UserError, one_line
from harness_ext.common.files import digest
from harness_ext.common.provenance import record_provenance
from harness_ext.common.reading import read_json
from harness_ext.common.seals import SEAL

# In the order in which transformers looks for them.
_WEIGHTS: Final = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
# The files of a processor, each under one of these names; the last may also be inside another.
_PROCESSOR: Final = (
    ("preprocessor_config.json", "processor_config.json"),
    ("tokenizer_config.json",),
    ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt"),
    ("chat_template.jinja", "chat_template.json"),
)
# What git leaves in a file's place where git-lfs has not fetched it (git-lfs, docs/spec.md).
_LFS_POINTER: Final = b"version https://git-lfs"
# Configuration and tokenizer, which some repositories keep there too.
_TEXTS: Final = {".json", ".jinja", ".model", ".txt"}
# How torch.save begins a file: a zip archive, and before torch 1.6 a pickle of protocol 2.
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
# Weights, configuration, tokenizer, templates, code; not what a trainer leaves beside them.
_SUFFIXES: Final = {".safetensors", ".bin", ".pt", ".json", ".jinja", ".model", ".txt", ".py", ".gguf"}
# What a trainer names the folders of its steps.
_STEPS: Final = "checkpoint-"


@contextmanager
def read_by_libraries(cannot: str, instead: str = "") -> Iterator[None]:
    """Within it, libraries read files of a checkpoint, any of which may be damaged; what they raise becomes ``UserError``.

    Its message is ``cannot`` and what they say, or ``instead``, if given, unless a package is missing. No list of types would
    do: transformers takes a wrong value for what it should be until something fails, and tokenizers raises ``Exception``.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        told = one_line(error) if isinstance(error, ImportError) or not instead else instead
        raise UserError(f"{cannot}{told}") from error


def locate(pretrained: str, revision: str | None, what: str) -> Path:
    """The folder that holds a checkpoint's ``config.json``: the user's own, or a snapshot of the hub's cache.

    No other file of a hub repository need be there yet. Raises ``UserError``, which names ``what`` is about to be loaded
    ("weights"), where there is none, or where it cannot be had from here.
    """
    cannot = f"cannot load the {what} of {pretrained!r}: "
    folder = Path(pretrained)
    if not folder.is_dir():
        return hub_file(pretrained, revision, "config.json", cannot).parent
    if not (folder / "config.json").is_file():
        raise UserError(cannot + _without_configuration(folder))
    _require_fetched(folder, cannot)
    return folder


def commit_of(pretrained: str, revision: str | None, what: str) -> str | None:
    """The commit of a hub repository, ``None`` for a folder; raises as :func:`locate`.

    Looked up once, it keeps all files that are loaded of one commit.
    """
    folder = locate(pretrained, revision, what)
    # The hub's cache names a snapshot by its commit.
    return None if Path(pretrained).is_dir() else folder.name


def hub_file(named: str, revision: str | None, file: str, cannot: str) -> Path:
    """A file of a hub repository, in the hub's cache. Raises ``UserError``, which begins with ``cannot``."""
    if Path(named).is_absolute() or named.startswith((".", "~")) or named.count("/") != 1:
        raise UserError(cannot + "there is no such folder, and a hub repository is named OWNER/NAME")
    try:
        return Path(hf_hub_download(named, file, revision=revision))
    except (HfHubHTTPError, HFValidationError, EntryNotFoundError, OSError) as error:
        raise UserError(cannot + _refusal(named, revision, file, error)) from error


def _refusal(repo: str, revision: str | None, file: str, error: Exception) -> str:
    """Why a file of a hub repository cannot be had, and what to do about it."""
    if isinstance(error, GatedRepoError):
        who = "your account has not been granted access" if get_token() else "you are not logged in to Hugging Face"
        ask = f"Ask for access at {constants.ENDPOINT}/{repo}, then log in with `hf auth login` or set HF_TOKEN"
        return f"it is gated, and {who}.\n{ask}"
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"there is no such folder, and {constants.ENDPOINT} shows no such repository.\n"
            "Check the name; if it is private, log in with `hf auth login` or set HF_TOKEN"
        )
    if isinstance(error, RevisionNotFoundError):
        return f"the repository has no revision {revision!r}"
    if isinstance(error, LocalEntryNotFoundError):
        why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{constants.ENDPOINT} cannot be reached"
        at = f" --revision {revision}" if revision else ""
        return (
            f"there is no such folder, {why}, and it is not in the cache {constants.HF_HUB_CACHE}.\n"
            f"Where there is a network: hf download {repo}{at}"
        )
    if isinstance(error, EntryNotFoundError):
        return f"the repository has no {file}; expected what save_pretrained writes"
    return one_line(error)


def _require_fetched(folder: Path, cannot: str) -> None:
    """Raise ``UserError`` where configuration or tokenizer are git-LFS pointers; weights in unread formats may be."""
    texts = sorted(file for file in folder.iterdir() if file.suffix in _TEXTS and file.is_file())
    try:
        pointers = [file.name for file in texts if _is_pointer(file)]
    except OSError as error:
        raise UserError(f"{cannot}{error}") from error
    if pointers:
        raise UserError(
            f"{cannot}git-LFS pointers are in the place of {', '.join(pointers)} in {folder} (git lfs pull)"
        )


def _is_pointer(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(_LFS_POINTER)) == _LFS_POINTER


def require_family(pretrained: str, revision: str | None, family: str) -> None:
    """Raise ``UserError`` unless the ``config.json`` of a checkpoint names ``family`` (``"llava"``) as its ``model_type``."""
    found = read_json(locate(pretrained, revision, "weights") / "config.json", last_wins=True).get("model_type")
    if found != family:
        raise UserError(
            f"cannot load the weights of {pretrained!r}: expected model_type {family!r} in config.json, found {found!r}.\n"
            "What this name sets (prompt, options) is not for them; --model hf-vlm takes weights of any family"
        )


def _without_configuration(folder: Path) -> str:
    if (folder / "adapter_config.json").is_file():
        return "it is a PEFT adapter;\nname its base as pretrained=… and this folder as adapter=…"
    return "the folder has no config.json; expected what save_pretrained of transformers writes"


def processor_files_missing(folder: Path) -> str:
    """Which typical files of a processor are not in a folder, and where they are to be had; empty where all are there.

    A model that was merged and saved has none of them; one that lacks a chat template alone may be asked by a prompt.
    """
    missing = [names[0] for names in _PROCESSOR if not any((folder / name).is_file() for name in names)]
    if not missing or missing == [_PROCESSOR[-1][0]]:
        return ""
    config = read_json(folder / "config.json", last_wins=True)
    base = config.get("base_model") or config.get("_name_or_path")
    named = repr(str(base)) if base and str(base) != str(folder) else "the model that it was made from"
    return (
        f"the folder has no {', '.join(missing)}.\nA merged model needs the processor of its base: copy these files from "
        f"{named}, or AutoProcessor.from_pretrained(BASE).save_pretrained(FOLDER)"
    )


def auto_map(file: Path) -> dict[str, Any]:
    """The classes of a repository's own code that a JSON file names, by kind. Raises ``UserError`` for a wrong file."""
    named = read_json(file, last_wins=True).get("auto_map") or {}
    if not isinstance(named, dict):
        raise UserError(f"cannot read {file}: expected a mapping auto_map, found {type(named).__name__}")
    return named


def weight_files(folder: Path) -> tuple[list[Path], list[str]]:
    """The files that the weights in ``folder`` are in, and the names of those among them that are not there.

    Both are empty where there are no weights at all.
    """
    named = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if named is None:
        return [], []
    if named.suffix != ".json":
        return [named], []
    index = read_json(named, last_wins=True).get("weight_map")
    if not isinstance(index, dict):
        raise UserError(f"cannot read {named}: expected a mapping weight_map")
    files = [folder / name for name in sorted(set(map(str, index.values())))]
    return files, [file.name for file in files if not file.is_file()]


def require_whole(file: Path, cannot: str) -> None:
    """Raise ``UserError`` where a file of tensors is not there or not whole, as far as that shows without reading a tensor.

    The message begins with ``cannot``. Old pickles of ``torch.save``, without an archive around them, do not say how long
    they should be.
    """
    try:
        with file.open("rb") as stream:
            start = stream.read(4)
        if not start:
            raise UserError(f"{cannot}{file} is empty; fetch it again")
        if _is_pointer(file):
            raise UserError(f"{cannot}{file} is a git-LFS pointer, not the file itself (git lfs pull)")
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt"):
                return
        if start.startswith(_ZIP) and not zipfile.is_zipfile(file):
            raise UserError(f"{cannot}{file} is cut off: expected an archive with its end; fetch it again")
        if not start.startswith((_ZIP, _PICKLE)):
            raise UserError(f"{cannot}{file} is no file of torch.save; fetch it again")
    except SafetensorError as error:
        raise UserError(f"{cannot}{file} is not a whole safetensors file ({error}); fetch it again") from error
    except OSError as error:
        raise UserError(f"{cannot}{file} cannot be read ({error.strerror})") from error


def require_weights(pretrained: str, folder: Path) -> list[Path] | None:
    """The files of the weights, all there and whole; ``None`` where they are still to be fetched from the hub.

    Raises:
        UserError: Some are missing and cannot be fetched, or are not whole.
    """
    cannot = f"cannot load the weights of {pretrained!r}: "
    files, missing = weight_files(folder)
    if files and not missing:
        for file in files:
            require_whole(file, cannot)
        return files
    local = Path(pretrained).is_dir()
    if not local and not constants.HF_HUB_OFFLINE:
        return None
    lacking = f"{len(missing)} of {len(files)} files are missing ({missing[0]})" if missing else "there are none"
    if local:
        remedy = "" if missing else f"; expected one of {', '.join(_WEIGHTS)}"
        raise UserError(f"{cannot}{lacking} in the folder{remedy}")
    raise UserError(
        f"{cannot}{lacking} in the cache {folder}, and HF_HUB_OFFLINE is set.\n"
        f"Where there is a network: hf download {pretrained}"
    )


def fingerprint(folder: Path) -> str:
    """A digest of the names and contents of a checkpoint's files, as 40 hexadecimal digits; large files in parallel.

    Its seal, which follows from the others, does not count: without it a checkpoint is the same.
    """
    # One level down too: a second tokenizer has a folder of its own.
    below = [file for file in folder.glob("*/*") if not file.parent.name.startswith((".", _STEPS))]
    found = [file for file in [*folder.glob("*"), *below] if file.suffix in _SUFFIXES and file.name != SEAL]
    files = sorted(file for file in found if file.is_file())
    if not files:
        raise UserError(f"expected the files of a checkpoint in {folder}, found none")
    with ThreadPoolExecutor(8) as threads:
        digests = list(threads.map(digest, files))
    named = zip(files, digests, strict=True)
    return digest("".join(f"{file.relative_to(folder).as_posix()}\0{contents}\n" for file, contents in named))


def weights_identity(named: str, commit: str | None) -> str:
    """What stands at ``named``: a folder's contents, or a hub repository's commit."""
    folder = Path(named)
    if folder.is_dir():
        return f"files {fingerprint(folder)}"
    return f"{named}@{commit or 'unknown revision'}"


def adapter_identity(named: str) -> str:
    """As :func:`weights_identity` for an adapter, whose commit nobody records: a repository's files are looked at too."""
    patterns = [f"*{suffix}" for suffix in _SUFFIXES]
    folder = named if Path(named).is_dir() else snapshot_download(named, allow_patterns=patterns)
    return f"files {fingerprint(Path(folder))}"


def record_model(named: str, commit: str | None, adapter: str | None, dtype: object) -> dict[str, str]:
    """Note in the result file what a model is, by name and by contents; returns the latter, ``weights`` and ``adapter``.

    ``named`` is what the user called its weights, ``commit`` the hub repository's, ``None`` for a folder.
    """
    contents = {
        "weights": weights_identity(named, commit),
        "adapter": adapter_identity(adapter) if adapter else "none",
    }
    record_provenance(
        weights=named,
        revision=commit,
        adapter=adapter,
        dtype=str(dtype).removeprefix("torch."),
        weights_identity=contents["weights"],
        adapter_identity=contents["adapter"],
    )
    return contents
