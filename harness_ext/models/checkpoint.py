"""Where a checkpoint's files are, and whether they are all there: found out before anything is loaded."""

import json
from pathlib import Path
from typing import Any, Final

from huggingface_hub import constants, get_token, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from harness_ext.errors import UserError
from harness_ext.failures import failure_reason

# In the order in which transformers looks for them.
_WEIGHTS: Final = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


def locate(pretrained: str, revision: str | None, what: str) -> Path:
    """The folder that holds a checkpoint's ``config.json``: the user's own, or a snapshot of the hub's cache.

    Of a hub repository nothing more than that file need be there yet.

    Args:
        pretrained: A folder or a hub repository.
        revision: The commit, tag or branch of a hub repository.
        what: What is about to be loaded ("weights"), for the message.

    Raises:
        UserError: There is none, or it cannot be had from here.
    """
    cannot = f"cannot load the {what} of {pretrained!r}: "
    folder = Path(pretrained)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(cannot + _without_configuration(folder))
        return folder
    if folder.is_absolute() or pretrained.startswith((".", "~")) or pretrained.count("/") != 1:
        raise UserError(cannot + "there is no such folder, and a hub repository is named OWNER/NAME")
    try:
        return Path(hf_hub_download(pretrained, "config.json", revision=revision)).parent
    except (HfHubHTTPError, HFValidationError, EntryNotFoundError, OSError) as error:
        raise UserError(cannot + _refusal(pretrained, revision, error)) from error


def require_family(pretrained: str, revision: str | None, family: str) -> None:
    """Raise ``UserError`` unless the ``config.json`` of a checkpoint names ``family`` as its ``model_type``.

    Args:
        pretrained: A folder or a hub repository.
        revision: The commit, tag or branch of a hub repository.
        family: As transformers calls it: ``"llava"``.
    """
    found = read_json(locate(pretrained, revision, "weights") / "config.json").get("model_type")
    if found != family:
        raise UserError(
            f"cannot load the weights of {pretrained!r}: expected model_type {family!r} in config.json, found {found!r}.\n"
            "What this name sets (prompt, options) is not for them; --model hf-vlm takes weights of any family"
        )


def _without_configuration(folder: Path) -> str:
    if (folder / "adapter_config.json").is_file():
        return "it is a PEFT adapter;\nname its base as pretrained=… and this folder as adapter=…"
    return "the folder has no config.json; expected what save_pretrained of transformers writes"


def _refusal(repo: str, revision: str | None, error: Exception) -> str:
    """Why a hub repository's ``config.json`` cannot be had, and what to do about it."""
    ask = f"Ask for access at {constants.ENDPOINT}/{repo}, then log in with `hf auth login` or set HF_TOKEN"
    if isinstance(error, GatedRepoError):
        who = "your account has not been granted access" if get_token() else "you are not logged in to Hugging Face"
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
        return "the repository has no config.json; expected a checkpoint of transformers"
    return failure_reason(error)


def read_json(file: Path) -> dict[str, Any]:
    """A mapping in a JSON file. Raises ``UserError`` where it holds none."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {file}: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"cannot read {file}: expected a mapping, found {type(value).__name__}")
    return value


def weight_files(folder: Path) -> tuple[list[Path], list[str]]:
    """The files that the weights in ``folder`` are in, and the names of those among them that are not there.

    Both are empty where there are no weights at all.
    """
    named = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if named is None:
        return [], []
    if named.suffix != ".json":
        return [named], []
    index = read_json(named).get("weight_map")
    if not isinstance(index, dict):
        raise UserError(f"cannot read {named}: expected a mapping weight_map")
    files = [folder / name for name in sorted(set(map(str, index.values())))]
    return files, [file.name for file in files if not file.is_file()]


def require_weights(pretrained: str, folder: Path) -> list[Path] | None:
    """The files of the weights, all there; ``None`` where they are still to be fetched from the hub.

    Raises:
        UserError: Some are missing, and cannot be fetched.
    """
    files, missing = weight_files(folder)
    if files and not missing:
        return files
    local = Path(pretrained).is_dir()
    if not local and not constants.HF_HUB_OFFLINE:
        return None
    lacking = f"{len(missing)} of {len(files)} files are missing ({missing[0]})" if missing else "there are none"
    if local:
        remedy = "" if missing else f"; expected one of {', '.join(_WEIGHTS)}"
        raise UserError(f"cannot load the weights of {pretrained!r}: {lacking} in the folder{remedy}")
    raise UserError(
        f"cannot load the weights of {pretrained!r}: {lacking} in the cache {folder}, and HF_HUB_OFFLINE is set.\n"
        f"Where there is a network: hf download {pretrained}"
    )
