"""Models and tokenizers of repositories with their own code, made as that code expects.

Such code was mostly written for transformers 4. ``from_pretrained`` of transformers 5 leaves tensors that are in no
checkpoint, such as tables of positions, unfilled, and the model answers wrongly. So the class is called as it used to be,
only its parameters without memory; then the weights are put in, each of which must be there.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from accelerate import dispatch_model, infer_auto_device_map, init_empty_weights, load_checkpoint_in_model
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.dynamic_module_utils import get_class_from_dynamic_module
from transformers.models.auto.auto_factory import add_generation_mixin_to_remote_model

from harness_ext.common.errors import UserError, one_line
from harness_ext.common.reading import read_json
from harness_ext.models.checkpoint import commit_of, locate, read_by_libraries, require_weights, weights_identity
from harness_ext.models.loading import checked_device, put_adapter
from harness_ext.models.resources import require_memory

# What code written for another version of a library raises. While questions are answered, OSError, ValueError and
# RuntimeError are not among them: one bad request raises those.
_FOREIGN_ERRORS: Final = (ImportError, AttributeError, TypeError, LookupError, NameError, AssertionError)
_LOADING_ERRORS: Final = (*_FOREIGN_ERRORS, OSError, ValueError, RuntimeError)
# Large files, which are fetched once the code has been seen to work.
_WEIGHTS: Final = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.gguf", "*.onnx")
_DESCRIPTIONS: Final = ("config.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json")


@dataclass(frozen=True)
class Repository:
    """A checked-out repository: what the user called it, its files, and their commit, ``None`` for a folder of the user's."""

    name: str
    folder: Path
    commit: str | None

    def weights(self) -> list[Path]:
        """The files of the weights, fetched if need be. Raises ``UserError`` where they cannot be had."""
        files = require_weights(self.name, self.folder)
        if files is None and self.commit:
            _download(self.name, self.commit)
            files = require_weights(self.name, self.folder)
        if not files:
            raise UserError(f"cannot load the weights of {self.name!r}: the repository has none that are known here")
        return files

    def described(self, file: str) -> dict[str, Any]:
        """One of its JSON files; empty where there is none. Raises ``UserError`` where it holds no mapping."""
        path = self.folder / file
        return read_json(path, last_wins=True) if path.exists() else {}

    @contextmanager
    def running(self, loading: bool = False) -> Iterator[None]:
        """Around what runs the repository's code: its faults become a ``UserError`` that says whose they are."""
        foreign = _LOADING_ERRORS if loading else _FOREIGN_ERRORS
        try:
            yield
        except foreign as error:
            made_with = self.described("config.json").get("transformers_version", "a version it does not name")
            commit = f" at {self.commit}" if self.commit else ""
            raise UserError(
                f"the code of {self.name}{commit} does not work here: {one_line(error)}.\nIt was made with "
                f"transformers {made_with}, this is {transformers.__version__}. Name a newer revision of it (--model_args "
                "revision=COMMIT), or have a server run it and ask that (--model api-vlm)."
            ) from error


def open_repository(named: str, revision: str | None, trust_remote_code: bool) -> Repository:
    """The files, but for the weights, of a repository whose code is going to run.

    Code, weights, tokenizer and whatever the code itself loads then come from one folder, so that a commit that was read
    stays the commit that runs. Without ``trust_remote_code`` nothing is downloaded or looked at.

    Raises:
        UserError: ``trust_remote_code`` is missing, the repository cannot be had, or its code is in another repository.
    """
    local = Path(named).is_dir()
    if trust_remote_code is not True:
        at = f" at {revision}" if revision else ""
        pinned = local or revision
        pin = "" if pinned else " (and revision=COMMIT, the one that you read, so that no other code ever runs)"
        raise UserError(
            f"the model of {named!r}{at} is Python code in that repository, which would run on this machine with all your "
            f"rights.\nRead it, and if you trust it add --model_args trust_remote_code=True{pin}."
        )
    repository = Repository(named, locate(named, revision, "code"), commit_of(named, revision, "code"))
    if repository.commit:
        _download(named, repository.commit, but=_WEIGHTS)
    _check_where_code_is(repository)
    return repository


def _download(named: str, commit: str, but: Sequence[str] = ()) -> None:
    try:
        snapshot_download(named, revision=commit, ignore_patterns=list(but))
    except (OSError, HfHubHTTPError) as error:
        raise UserError(f"cannot get {named!r} at {commit}: {one_line(error)}") from error


def _check_where_code_is(repository: Repository) -> None:
    """Raise ``UserError`` where code is in another repository (``OTHER--module.Class``), which the user did not trust."""
    for file in _DESCRIPTIONS:
        for kind, named in repository.described(file).get("auto_map", {}).items():
            for one in [named] if isinstance(named, str) else named:
                if one and "--" in one:
                    raise UserError(
                        f"{file} of {repository.name} takes its {kind} from the code of another repository, "
                        f"{one.split('--')[0]!r}, at no fixed commit.\nPut both into one folder, drop the part up to '--' "
                        "there, and name the folder."
                    )


def load_tokenizer(repository: Repository, named: str | None) -> PreTrainedTokenizerBase:
    """The tokenizer of ``repository``, or of the one ``named``, whose code is not run: the user did not trust it."""
    source = named or str(repository.folder)
    try:
        with repository.running():
            return AutoTokenizer.from_pretrained(source, trust_remote_code=not named)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"cannot load the tokenizer of {named or repository.name!r}: {one_line(error)}.\nA model without one of its own "
            "is given one by --model_args tokenizer=REPOSITORY_OR_FOLDER."
        ) from error


def tokenizer_identity(named: str | None) -> str:
    """Which tokenizer :func:`load_tokenizer` loads."""
    if named is None:
        return "of the weights"
    # The folder of a tokenizer alone has no config.json.
    return weights_identity(named, None if Path(named).is_dir() else commit_of(named, None, "tokenizer"))


def load_model(
    repository: Repository, auto_class: str, *, dtype: str, device: str | None, device_map: str | None
) -> PreTrainedModel:
    """The model in evaluation mode, on its device; ``auto_class`` is the key of ``auto_map`` that names its class.

    A ``dtype`` of ``"auto"`` is what its config.json names, else float32. Raises ``UserError`` where its code fails, or its
    weights are not what that code expects.
    """
    target = checked_device(dtype, device, device_map)
    if device_map not in (None, "auto"):
        raise UserError(f"device_map must be 'auto' for a model with code of its own, found {device_map!r}")
    with repository.running(loading=True):
        model = _make(repository, auto_class, dtype)
    name, commit = repository.name, repository.commit
    require_memory(name, repository.folder, revision=commit, dtype=dtype, device=target, device_map=device_map)
    files = repository.weights()
    places = {"": target}
    if device_map:
        places = infer_auto_device_map(model, no_split_module_classes=model._no_split_modules)
    where = ", ".join(sorted(set(map(str, places.values()))))
    with read_by_libraries(f"cannot put the weights of {repository.name!r} on {where}: "):
        for file in files:
            load_checkpoint_in_model(model, str(file), device_map=places)
        _check_complete(model, repository)
        model = dispatch_model(model, places) if device_map else model.to(target)
    return model.eval()


def adapted(model: PreTrainedModel, adapter: str, repository: Repository) -> PreTrainedModel:
    """The model with a PEFT adapter inside, under its own methods. Raises ``UserError`` where that cannot be."""
    from peft import PeftConfig

    if PeftConfig.from_pretrained(adapter).is_prompt_learning:
        raise UserError(
            f"the adapter {adapter!r} learns prompts, which {repository.name!r} would never see: use a LoRA"
        )
    return put_adapter(model, adapter, repository.name).get_base_model()


def _make(repository: Repository, auto_class: str, dtype: str) -> PreTrainedModel:
    """The model without its weights, but with the tensors that are in no checkpoint."""
    folder = str(repository.folder)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
    # Transformers 5 drops what a config.json says of generation; code may read it (XComposer2 its max_length).
    dropped = {name: value for name, value in repository.described("config.json").items() if not hasattr(config, name)}
    for name, value in dropped.items():
        setattr(config, name, value)
    if getattr(config, "quantization_config", None):
        raise UserError(f"the weights of {repository.name!r} are quantised, which is not supported here: name others")
    if auto_class not in (getattr(config, "auto_map", None) or {}):
        raise UserError(f"the config.json of {repository.name!r} names no code for {auto_class}")
    model_class = get_class_from_dynamic_module(config.auto_map[auto_class], folder)
    precision = (config.dtype or torch.float32) if dtype == "auto" else getattr(torch, dtype)
    with _default_dtype(precision), init_empty_weights(include_buffers=False):
        model = add_generation_mixin_to_remote_model(model_class)(config)
    for name in dropped:
        # A model whose configuration holds such settings is not decoded by transformers 5.
        delattr(config, name)
    if (repository.folder / "generation_config.json").exists():
        model.generation_config = GenerationConfig.from_pretrained(folder)
    return model


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _check_complete(model: PreTrainedModel, repository: Repository) -> None:
    """Raises ``UserError`` where a tensor is still without values."""

    def lacking() -> list[str]:
        return [name for name, value in chain(model.named_parameters(), model.named_buffers()) if value.is_meta]

    if lacking():
        # Weights that are also another's may be in the checkpoint once.
        with repository.running():
            model.tie_weights()
    if names := lacking():
        raise UserError(
            f"the weights of {repository.name!r} lack {len(names)} tensors that its code has, {names[0]} the first: code and "
            "weights are not of one version"
        )
