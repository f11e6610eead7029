"""What the weights are, whatever they are called: a retrained adapter at the same path is another model."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from harness_ext.common.errors import UserError
from harness_ext.common.files import digest
from harness_ext.common.provenance import record_provenance

# Weights, configuration, tokenizer, templates, code; not what a trainer leaves beside them.
_SUFFIXES: Final = {".safetensors", ".bin", ".pt", ".json", ".jinja", ".model", ".txt", ".py", ".gguf"}
# What a trainer names the folders of its steps.
_STEPS: Final = "checkpoint-"


def fingerprint(folder: Path) -> str:
    """A digest of the names and contents of a checkpoint's files, as 40 hexadecimal digits; large files in parallel."""
    # One level down too: a second tokenizer has a folder of its own.
    found = [*folder.glob("*"), *folder.glob("*/*")]
    files = sorted(
        file
        for file in found
        if file.suffix in _SUFFIXES
        and file.is_file()
        and (file.parent == folder or not file.parent.name.startswith((".", _STEPS)))
    )
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
    if Path(named).is_dir():
        return weights_identity(named, None)
    from huggingface_hub import snapshot_download

    snapshot = snapshot_download(named, allow_patterns=[f"*{suffix}" for suffix in _SUFFIXES])
    return f"files {fingerprint(Path(snapshot))}"


def record_model(named: str, commit: str | None, adapter: str | None, dtype: object) -> dict[str, str]:
    """Note in the result file what a model is, by name and by contents; returns the latter, ``weights`` and ``adapter``.

    Args:
        named: What the user called its weights, a hub repository or a folder.
        commit: The repository's commit; ``None`` for a folder.
        adapter: The folder or repository of its adapter.
        dtype: Its precision, a ``torch.dtype``.
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
