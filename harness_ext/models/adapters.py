"""PEFT adapters: checked before the weights they belong to are loaded, and put on them whole."""

import re
from pathlib import Path
from typing import Final

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError
from transformers import PreTrainedModel

from harness_ext.common.errors import UserError
from harness_ext.common.failures import failure_reason
from harness_ext.common.files import digest
from harness_ext.models.checkpoint import UNREADABLE, read_json, require_whole, weight_files

ANY_BASE: Final = "any"
_CONFIGURATION: Final = "adapter_config.json"
# In the order in which PEFT looks for them.
_FILES: Final = ("adapter_model.safetensors", "adapter_model.bin")
# Parts that PEFT keeps once and shows at several places; they need not be in a checkpoint.
_SHARED: Final = ("vblora_vector_bank", "prompt_encoder", ".tinylora_v.", ".unilora_theta_d.")


def check_adapter(adapter: str | None, pretrained: str, adapter_base: str | None = None) -> None:
    """Raise ``UserError`` unless ``adapter`` is a whole and finite PEFT adapter for ``pretrained``; reads the adapter alone.

    Args:
        adapter: A folder or a hub repository; with none, all that could be wrong is an ``adapter_base``.
        pretrained: A folder or a hub repository: the same as the adapter names as its base, or the same files.
        adapter_base: ``"any"`` leaves the base unchecked.
    """
    if not adapter:
        if adapter_base:
            raise UserError("adapter_base is given, but no adapter")
        return
    if adapter_base not in (None, ANY_BASE):
        raise UserError(f"adapter_base must be {ANY_BASE!r} or left out, found {adapter_base!r}")
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING

    cannot = f"cannot put the adapter {adapter!r} on {pretrained!r}: "
    config = read_json(_configuration(adapter, cannot))
    if config.get("peft_type") not in {str(kind.value) for kind in PEFT_TYPE_TO_CONFIG_MAPPING}:
        raise UserError(f"{cannot}its adapter_config.json names no known peft_type, found {config.get('peft_type')!r}")
    _require_sound(adapter, cannot)
    base = config.get("base_model_name_or_path")
    if adapter_base is None and not (base and _same_weights(str(base), pretrained)):
        named = f"its base is {base!r}" if base else "it does not name its base"
        raise UserError(f"{cannot}{named}.\nIf they are the same weights, add adapter_base={ANY_BASE} to --model_args")


def _require_sound(adapter: str, cannot: str) -> None:
    """Raise ``UserError`` unless the adapter's file is whole, and every number in it is finite."""
    from peft.utils import load_peft_weights

    named = [file for file in (Path(adapter) / name for name in _FILES) if file.is_file()]
    if named:
        require_whole(named[0], cannot)
    try:
        tensors = load_peft_weights(adapter, device="cpu")
    except (OSError, ValueError, RuntimeError, HfHubHTTPError, *UNREADABLE) as error:
        raise UserError(f"{cannot}its tensors cannot be read: {failure_reason(error)}") from error
    if not isinstance(tensors, dict) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise UserError(f"{cannot}expected tensors by name in {named[0] if named else adapter}, found something else")
    if wrong := [name for name, value in tensors.items() if not value.float().isfinite().all()]:
        raise UserError(
            f"{cannot}{len(wrong)} of {len(tensors)} tensors in {named[0] if named else adapter} hold values that are not "
            f"finite (NaN or infinite), {wrong[0]} the first.\nTheir training had diverged: take an earlier checkpoint of it"
        )


def _configuration(adapter: str, cannot: str) -> Path:
    folder = Path(adapter)
    if folder.is_dir():
        if not (folder / _CONFIGURATION).is_file():
            raise UserError(f"{cannot}the folder has no {_CONFIGURATION}; expected what save_pretrained of PEFT writes")
        if not any((folder / name).is_file() for name in _FILES):
            raise UserError(f"{cannot}the folder has no {', nor '.join(_FILES)}")
        return folder / _CONFIGURATION
    if folder.is_absolute() or adapter.count("/") != 1:
        raise UserError(f"{cannot}there is no such folder, and a hub repository is named OWNER/NAME")
    try:
        return Path(hf_hub_download(adapter, _CONFIGURATION))
    except (HfHubHTTPError, HFValidationError, EntryNotFoundError, OSError) as error:
        raise UserError(f"{cannot}there is no such folder, and the hub says {failure_reason(error)}") from error


def _same_weights(base: str, pretrained: str) -> bool:
    if _repository(base) == _repository(pretrained):
        return True
    folders = Path(base), Path(pretrained)
    if not all(folder.is_dir() for folder in folders):
        return False
    return folders[0].resolve() == folders[1].resolve() or _fingerprint(folders[0]) == _fingerprint(folders[1])


def _repository(name: str) -> str:
    """A hub repository's name, also of a snapshot in the hub's cache; a folder as it is."""
    found = re.search(r"models--([^/]+)--([^/]+)/snapshots/", name + "/")
    return (f"{found[1]}/{found[2]}" if found else name.rstrip("/")).lower()


def _fingerprint(folder: Path) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The configuration's digest, and the names and contents of the weights: the same for copies of one checkpoint."""
    configuration = folder / "config.json"
    settings = digest(configuration) if configuration.is_file() else str(folder)
    files, _ = weight_files(folder)
    return settings, tuple((file.name, digest(file) if file.is_file() else "") for file in files)


def put_adapter(model: PreTrainedModel, adapter: str, pretrained: str) -> PreTrainedModel:
    """``model`` with ``adapter`` on it. Raises ``UserError`` if it does not fit, or only in part (PEFT would warn)."""
    from peft import PeftModel
    from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING
    from peft.utils import load_peft_weights, set_peft_model_state_dict

    cannot = f"cannot put the adapter {adapter!r} on {pretrained!r}: "
    # Names of an older transformers; PEFT translates them the first time, and keeps no record of what did not fit.
    renamed = getattr(model, "_checkpoint_conversion_mapping", {})
    try:
        adapted = PeftModel.from_pretrained(model, adapter)
        config = adapted.peft_config["default"]
        given = load_peft_weights(adapter, device="cpu", key_mapping=None if config.is_prompt_learning else renamed)
        result = set_peft_model_state_dict(adapted, given)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise UserError(f"{cannot}{' '.join(str(error).split())[:300]}") from error
    prefix = PEFT_TYPE_TO_PREFIX_MAPPING.get(config.peft_type, "")
    missing = [name for name in result.missing_keys if prefix and prefix in name and "default" in name]
    missing = [name for name in missing if not any(part in name for part in _SHARED)]
    for names, problem in ((missing, "lacks"), (list(result.unexpected_keys), "has, without a place in the model,")):
        if names:
            raise UserError(f"{cannot}it {problem} {len(names)} tensors, such as {names[0]}")
    return adapted
