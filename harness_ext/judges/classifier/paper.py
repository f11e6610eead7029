"""The judge ``paper``: the two RoBERTa classifiers that the paper's authors published.

The authors' code (github.com/TrustAIRLab/SaferVLM, summarize_measure.py and RLHF/models/reward_model.py) shows how they read:
the response alone, an empty one too, cut to roberta-base's 512 tokens; the verdict is the likeliest class, in the order safe,
unsafe, na and A, B, C, D, na. There it is in float32 on a GPU, and as a reward under autocast; here in float64. Unknown are
their training data and how often they are right: their weights were never available here, so none of their figures was
checked.

The checkpoints are pickles, on the hub at a commit or the user's own copies. Each is converted once into a folder that
transformers loads, under ``judges`` in the cache (``UNSAFECONCEPTS_CACHE``, or else the user's cache directory), one folder
for each source and base. It is written beside its place, ``source.json`` last, and renamed into it in one step; a lock makes
a second process wait for the first one's. ``source.json`` records the sha256 of the pickle, which must not change from then
on, and of the converted weights, which is checked at every use.
"""

import functools
import json
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase, RobertaConfig

from harness_ext.common.errors import UserError
from harness_ext.common.failures import failure_reason
from harness_ext.common.files import cache_dir, held, new_folder, not_cached
from harness_ext.common.files import sha256 as sha256_of
from harness_ext.common.hub import call_within, httpx
from harness_ext.judges.classifier import LABELS, Kind
from harness_ext.judges.classifier.judge import ClassifierJudge
from harness_ext.judges.classifier.pickled import file_sha256, read_tensors
from harness_ext.judges.classifier.text_classifier import FirstTokenClassifier, FirstTokenConfig, TextClassifier
from harness_ext.models.checkpoint import locate, read_json

REPOSITORIES: Final[Mapping[Kind, str]] = {
    "alignment": "yiting/alignment_classifier",
    "perception": "yiting/perception_classifier",
}
FILE: Final = "epoch_10.pt"
# The model that the authors' code calls roberta-base, and the commit that others pin it to.
BASE: Final = "FacebookAI/roberta-base"
BASE_REVISION: Final = "e2da8e2f811d1448a5b465c236feacd80ffbac7b"
_COMMIT: Final = re.compile("[0-9a-f]{40}")
_RESOLVE_SECONDS: Final = 15.0

SOURCE_FILE: Final = "source.json"
_WEIGHTS: Final = "model.safetensors"
_SHA256: Final = re.compile("[0-9a-f]{64}")


def paper_judge(
    *,
    alignment_revision: str | None = None,
    perception_revision: str | None = None,
    alignment: str | None = None,
    perception: str | None = None,
    alignment_sha256: str | None = None,
    perception_sha256: str | None = None,
    base: str = BASE,
    base_revision: str | None = None,
    device: str | None = None,
    batch_size: int = 32,
) -> ClassifierJudge:
    """The authors' classifiers, one or both; the judge's name has twelve digits of each file's sha256, alignment's first.

    Args:
        alignment_revision: The commit of ``yiting/alignment_classifier``; a branch or tag is looked up, and printed.
        perception_revision: The commit of ``yiting/perception_classifier``.
        alignment: Instead of a revision, a copy of the authors' file ``epoch_10.pt``.
        perception: Likewise.
        alignment_sha256: The sha256 that the file must have; by default the one it had when it was first read.
        perception_sha256: Likewise.
        base: The folder or repository of roberta-base's configuration and tokenizer.
        base_revision: The repository's commit; needed for another one.
        device: A torch device; by default this process's GPU where there is one, else the CPU.
        batch_size: Responses in a forward pass.

    Raises:
        UserError: A file cannot be had, or is not what it should be.
    """
    wanted = [
        Published("alignment", alignment, alignment_revision, alignment_sha256),
        Published("perception", perception, perception_revision, perception_sha256),
    ]
    wanted = [each for each in wanted if (each.file, each.revision, each.sha256) != (None, None, None)]
    if not wanted:
        raise UserError(
            "judge paper: say which classifiers: alignment_revision=COMMIT or perception_revision=COMMIT, or both, of "
            f"https://huggingface.co/{REPOSITORIES['alignment']} and {REPOSITORIES['perception']}; of copies of their "
            "epoch_10.pt, alignment=FILE or perception=FILE"
        )
    found = {each.kind: converted(replace(each, base=base, base_revision=base_revision)) for each in wanted}
    name = "-".join(["paper-roberta", *(each.sha256[:12] for each in found.values())])
    return ClassifierJudge(
        name, {kind: TextClassifier(str(each.folder), device, batch_size, kind) for kind, each in found.items()}
    )


# --- converted and kept -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Published:
    """One of the authors' classifiers and its source.

    Attributes:
        kind: The kind of answers that it reads.
        file: The user's own copy of ``epoch_10.pt``, instead of ``revision``.
        revision: The commit of the authors' repository, a branch, or a tag.
        sha256: The sha256 that the file must have.
        base: The folder or repository of roberta-base's configuration and tokenizer.
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
    """A classifier that :class:`TextClassifier` loads.

    Attributes:
        folder: Its folder.
        sha256: The sha256 of the authors' file.
    """

    folder: Path
    sha256: str


def converted(published: Published) -> Converted:
    """The folder of a classifier of the authors, which is converted at the first call.

    Raises:
        UserError: It cannot be had, has the wrong sha256 or tensors, or has changed since it was first read.
    """
    kind, given = published.kind, published.sha256
    if given is not None and not _SHA256.fullmatch(given):
        raise UserError(f"{kind}_sha256: expected 64 hexadecimal digits, as sha256sum prints them, found {given!r}")
    if (published.file is None) == (published.revision is None):
        raise UserError(
            f"expected either {kind}_revision=COMMIT, of {REPOSITORIES[kind]}, or {kind}=FILE, found both or neither"
        )
    source = _source(published)
    folder = cache_dir() / "judges" / f"{kind}-{sha256_of(json.dumps(source))[:12]}"
    with held(Path(f"{folder}.lock"), functools.partial(not_cached, folder)):
        # The user's own file may have changed; a commit's cannot.
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
    """The names and commits that a classifier is made from."""
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
    with new_folder(folder) as scratch:
        model = FirstTokenClassifier(config)
        model.load_state_dict(tensors, strict=True)
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        record: dict[str, Any] = {"source": source, "kind": published.kind, "sha256": sha256}
        record["weights_sha256"] = file_sha256(scratch / _WEIGHTS)
        (scratch / SOURCE_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return sha256


def _another(what: str, expected: str, found: str | None) -> str:
    return f"{what}: expected the sha256 {expected}, found {found}; nothing of it was read"


# --- the hub ----------------------------------------------------------------------------------------------------------


def resolved(repository: str, revision: str) -> str:
    """The commit that ``revision`` names, 40 hexadecimal digits; that of a branch or a tag is looked up and printed.

    Raises:
        UserError: The hub does not answer, or names no commit.
    """
    if _COMMIT.fullmatch(revision):
        return revision
    cannot = f"cannot look up the revision {revision!r} of {repository}: "
    remedy = f"Give a commit, 40 hexadecimal digits; {constants.ENDPOINT}/{repository}/commits lists them"
    try:
        commit = call_within(_RESOLVE_SECONDS, lambda: HfApi().model_info(repository, revision=revision).sha)
    except (HfHubHTTPError, HFValidationError, httpx.HTTPError, OSError) as error:
        raise UserError(f"{cannot}{failure_reason(error)}.\n{remedy}") from error
    if commit is None:
        raise UserError(f"{cannot}the hub names no commit.\n{remedy}")
    print(f"{repository}: {revision} is {commit}; name that commit to read the same classifier again", file=sys.stderr)
    return commit


def fetched(repository: str, commit: str) -> Path:
    """The authors' file at a commit, from the hub or its cache. Raises ``UserError`` where it cannot be had."""
    try:
        return Path(hf_hub_download(repository, FILE, revision=commit))
    except (HfHubHTTPError, HFValidationError, httpx.HTTPError, OSError) as error:
        raise UserError(
            f"cannot fetch {FILE} of {repository} at {commit}: {failure_reason(error)}.\n"
            f"Where there is a network: hf download {repository} {FILE} --revision {commit}; of a copy, name its path instead"
        ) from error


def open_base(base: str, revision: str | None, kind: Kind) -> tuple[FirstTokenConfig, PreTrainedTokenizerBase]:
    """The configuration of a classifier of ``kind`` on ``base``, and the base's tokenizer.

    Raises:
        UserError: They cannot be loaded, or are not a RoBERTa's.
    """
    locate(base, revision, "base of the paper's classifiers")
    try:
        config = AutoConfig.from_pretrained(base, revision=revision)
        tokenizer = AutoTokenizer.from_pretrained(base, revision=revision)
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"base {base!r} cannot be loaded: {failure_reason(error)}") from error
    if not isinstance(config, RobertaConfig) or len(tokenizer) != config.vocab_size:
        raise UserError(
            f"base {base!r}: expected roberta-base with its tokenizer, found a {config.model_type} of {config.vocab_size} "
            f"words with a tokenizer of {len(tokenizer)}"
        )
    # RoBERTa's positions begin after the padding's: a table of 514 takes 512 tokens, to which the authors' code cuts.
    tokenizer.model_max_length = min(
        tokenizer.model_max_length, config.max_position_embeddings - config.pad_token_id - 1
    )
    labels = dict(enumerate(LABELS[kind]))
    settings = {name: value for name, value in config.to_dict().items() if name not in ("model_type", "architectures")}
    settings |= {"id2label": labels, "label2id": {label: at for at, label in labels.items()}}
    return FirstTokenConfig(**settings), tokenizer
