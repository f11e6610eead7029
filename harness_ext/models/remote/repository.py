"""A repository that brings its own Python code: run only at the user's word, and only as it was when that was given."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from harness_ext.common.errors import UserError
from harness_ext.common.failures import failure_reason
from harness_ext.models.checkpoint import locate, read_json, weight_files

# What code written for another version of a library raises. While questions are answered, OSError, ValueError and
# RuntimeError are not among them: one bad request raises those.
_FOREIGN_ERRORS: Final = (ImportError, AttributeError, TypeError, LookupError, NameError, AssertionError)
_LOADING_ERRORS: Final = (*_FOREIGN_ERRORS, OSError, ValueError, RuntimeError)
# Large files, which are fetched once the code has been seen to work.
_WEIGHTS: Final = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.gguf", "*.onnx")
_DESCRIPTIONS: Final = ("config.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json")


@dataclass(frozen=True)
class Repository:
    """A checked-out repository.

    Attributes:
        name: What the user called it.
        folder: Where its files are.
        commit: The commit they are of; ``None`` for a folder of the user's.
    """

    name: str
    folder: Path
    commit: str | None

    def weights(self) -> list[Path]:
        """The files of the weights, fetched if need be. Raises ``UserError`` where they cannot be had."""
        files, missing = weight_files(self.folder)
        if self.commit and (missing or not files):
            _download(self.name, self.commit)
            files, missing = weight_files(self.folder)
        if missing or not files:
            raise UserError(f"cannot load the weights of {self.name!r}: {', '.join(missing) or 'there are none'}")
        return files

    def described(self, file: str) -> dict[str, Any]:
        """One of its JSON files; empty where there is none. Raises ``UserError`` where it holds no mapping."""
        path = self.folder / file
        return read_json(path) if path.exists() else {}

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
                f"the code of {self.name}{commit} does not work here: {failure_reason(error)}.\nIt was made with "
                f"transformers {made_with}, this is {transformers.__version__}. Name a newer revision of it (--model_args "
                "revision=COMMIT), or have a server run it and ask that (--model api-vlm)."
            ) from error


def open_repository(named: str, revision: str | None, trust_remote_code: bool) -> Repository:
    """The files, but for the weights, of a repository whose code is going to run.

    Code, weights, tokenizer and whatever the code itself loads "from where the model is from" then come from one folder, so
    that a commit that was read stays the commit that runs.

    Args:
        named: A hub repository or a folder.
        revision: The commit, tag or branch.
        trust_remote_code: The user's word; without it nothing is downloaded, and no file is looked at.

    Raises:
        UserError: The word was not given, the repository cannot be had, or its code is in another repository.
    """
    local = Path(named).is_dir()
    if trust_remote_code is not True:
        at = f" at {revision}" if revision else ""
        pin = (
            ""
            if local or revision
            else " (and revision=COMMIT, the one that you read, so that no other code ever runs)"
        )
        raise UserError(
            f"the model of {named!r}{at} is Python code in that repository, which would run on this machine with all your "
            f"rights.\nRead it, and if you trust it add --model_args trust_remote_code=True{pin}."
        )
    folder = locate(named, revision, "code")
    # The hub's cache names a snapshot by its commit.
    repository = Repository(named, folder, None if local else folder.name)
    if repository.commit:
        _download(named, repository.commit, but=_WEIGHTS)
    _check_where_code_is(repository)
    return repository


def _download(named: str, commit: str, but: Sequence[str] = ()) -> None:
    try:
        snapshot_download(named, revision=commit, ignore_patterns=list(but))
    except (OSError, HfHubHTTPError) as error:
        raise UserError(f"cannot get {named!r} at {commit}: {failure_reason(error)}") from error


def _check_where_code_is(repository: Repository) -> None:
    """The word was for this repository's code: one that names another's, ``OTHER--module.Class``, is refused."""
    for file in _DESCRIPTIONS:
        for kind, named in repository.described(file).get("auto_map", {}).items():
            for one in [named] if isinstance(named, str) else named:
                if one and "--" in one:
                    raise UserError(
                        f"{file} of {repository.name} takes its {kind} from the code of another repository, "
                        f"{one.split('--')[0]!r}, at no fixed commit.\nPut both into one folder, drop the part up to '--' "
                        "there, and name the folder."
                    )
