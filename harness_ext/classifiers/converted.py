"""The authors' classifiers as folders that transformers loads: converted once, and kept in the cache.

A folder lies under ``judges`` in the cache (``UNSAFECONCEPTS_CACHE``, or else the user's cache directory), one for each
source and base. It is written beside its place, ``source.json`` last, and renamed into it in one step; a lock makes a second
process wait for the first one's. The sha256 of the pickle is recorded there and held to from then on, and that of the
converted weights is checked whenever they are used.
"""

import hashlib
import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from harness_ext.benchmark.fetch import cache_dir
from harness_ext.classifiers.first_token import FirstTokenClassifier
from harness_ext.classifiers.labels import Kind
from harness_ext.classifiers.pickled import file_sha256, read_tensors
from harness_ext.classifiers.published import BASE, BASE_REVISION, REPOSITORIES, fetched, open_base, resolved
from harness_ext.errors import UserError
from harness_ext.models.checkpoint import read_json

SOURCE_FILE: Final = "source.json"
_WEIGHTS: Final = "model.safetensors"
_SHA256: Final = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Published:
    """Which of the authors' classifiers, and from where.

    Attributes:
        kind: Which of the two.
        file: The user's own copy of ``epoch_10.pt``; or else
        revision: the commit of the authors' repository, a branch, or a tag.
        sha256: What the file's sha256 must be.
        base: The folder or repository that roberta-base's configuration and tokenizer come from.
        base_revision: The repository's commit.
    """

    kind: Kind
    file: str | None = None
    revision: str | None = None
    sha256: str | None = None
    base: str = BASE
    base_revision: str | None = None


@dataclass(frozen=True)
class Converted:
    """A classifier that :class:`harness_ext.classifiers.text_classifier.TextClassifier` loads.

    Attributes:
        folder: Where it is.
        sha256: Of the authors' file that it was made from.
    """

    folder: Path
    sha256: str


def converted(published: Published) -> Converted:
    """The folder of a classifier of the authors, converted first where it has not been.

    Raises:
        UserError: It cannot be had, is not what it should be, or is not what it was before.
    """
    kind, given = published.kind, published.sha256
    if given is not None and not _SHA256.fullmatch(given):
        raise UserError(f"{kind}_sha256: expected 64 hexadecimal digits, as sha256sum prints them, found {given!r}")
    if (published.file is None) == (published.revision is None):
        raise UserError(
            f"expected either {kind}_revision=COMMIT, of {REPOSITORIES[kind]}, or {kind}=FILE, found both or neither"
        )
    source = _source(published)
    folder = cache_dir() / "judges" / f"{kind}-{hashlib.sha256(json.dumps(source).encode()).hexdigest()[:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        # The user's own file can be another one by now; a commit's cannot.
        sha256 = file_sha256(Path(source["file"])) if "file" in source else None
        if given is not None and sha256 is not None and given != sha256:
            raise UserError(_another(source["file"], given, sha256))
        if folder.exists():
            kept = _kept(folder)
            if given is None and sha256 not in (None, kept):
                raise UserError(
                    f"{_another(source['file'], kept, sha256)}\nIt is not the file that was read first from there; "
                    f"{kind}_sha256={sha256} says that this one is meant"
                )
            if given in (None, kept):
                return Converted(folder, kept)
            if sha256 is None:
                raise UserError(_another(f"{source['repository']} at {source['commit']}", given, kept))
            shutil.rmtree(folder)
        return Converted(folder, _convert(published, source, folder))


def _source(published: Published) -> dict[str, str]:
    """What a classifier is made from, without its contents."""
    base = {"base": published.base}
    if Path(published.base).is_dir():
        base = {"base": str(Path(published.base).resolve())}
    else:
        known = BASE_REVISION if published.base == BASE else None
        if (revision := published.base_revision or known) is None:
            raise UserError(f"base {published.base!r}: expected base_revision=COMMIT beside it, found none")
        base["base_revision"] = resolved(published.base, revision)
    if published.file is not None:
        return {"file": str(Path(published.file).expanduser().resolve()), **base}
    repository = REPOSITORIES[published.kind]
    return {"repository": repository, "commit": resolved(repository, str(published.revision)), **base}


def _kept(folder: Path) -> str:
    """The sha256 of the pickle that a converted folder was made from; the folder is whole, or ``UserError``."""
    remedy = "remove that folder, and it is converted anew"
    try:
        record = read_json(folder / SOURCE_FILE)
        weights = file_sha256(folder / _WEIGHTS)
    except UserError as error:
        raise UserError(f"{folder} is not whole ({error}); {remedy}") from error
    if weights != record.get("weights_sha256") or "sha256" not in record:
        raise UserError(f"{folder / _WEIGHTS} is not what was written there; {remedy}")
    return str(record["sha256"])


def _convert(published: Published, source: dict[str, str], folder: Path) -> str:
    file = Path(source["file"]) if "file" in source else fetched(source["repository"], source["commit"])
    sha256 = file_sha256(file)
    if published.sha256 not in (None, sha256):
        raise UserError(_another(str(file), str(published.sha256), sha256))
    config, tokenizer = open_base(source["base"], source.get("base_revision"), published.kind)
    tensors = read_tensors(file, config)
    for leftover in folder.parent.glob(f"{folder.name}.tmp*"):
        shutil.rmtree(leftover)
    scratch = Path(tempfile.mkdtemp(prefix=f"{folder.name}.tmp", dir=folder.parent))
    try:
        model = FirstTokenClassifier(config)
        model.load_state_dict(tensors, strict=True)
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        record: dict[str, Any] = {"source": source, "kind": published.kind, "sha256": sha256}
        record["weights_sha256"] = file_sha256(scratch / _WEIGHTS)
        (scratch / SOURCE_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        scratch.rename(folder)
    finally:
        if scratch.exists():
            shutil.rmtree(scratch)
    return sha256


def _another(what: str, expected: str, found: str | None) -> str:
    return f"{what}: expected the sha256 {expected}, found {found}; nothing of it was read"
