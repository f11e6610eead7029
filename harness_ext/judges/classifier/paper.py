"""The judge ``paper``: the two RoBERTa classifiers that the paper's authors published.

They read the response alone, cut to 512 tokens; the likeliest class is the verdict (github.com/TrustAIRLab/SaferVLM,
summarize_measure.py and RLHF/models/reward_model.py, there in float32, here in float64). Their weights were never available
here, so none of their figures was checked. Each pickle is converted once into a folder that transformers loads; ``python -m
harness_ext.judges.classifier.paper KIND`` prints that folder, for a reward of ``align``.
"""

import functools
import json
import pickle
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase, RobertaConfig
from transformers.models.roberta.modeling_roberta import RobertaPooler

from harness_ext.common.errors import UserError, exit_status, one_line
from harness_ext.common.files import cache_dir, held, new_folder, not_cached, write_text
from harness_ext.common.files import sha256 as digest_of
from harness_ext.common.output import CommandParser, say
from harness_ext.common.reading import read_json
from harness_ext.common.seals import is_sealed, require_unchanged, seal
from harness_ext.judges.classifier import LABELS, Kind, named_labels
from harness_ext.judges.classifier.judge import ClassifierJudge
from harness_ext.judges.classifier.text_classifier import FirstTokenClassifier, FirstTokenConfig, TextClassifier
from harness_ext.models.checkpoint import commit_of, hub_file, locate, read_by_libraries, require_whole

REPOSITORIES: Final[Mapping[Kind, str]] = {
    "alignment": "yiting/alignment_classifier",
    "perception": "yiting/perception_classifier",
}
FILE: Final = "epoch_10.pt"
# The model that the authors' code calls roberta-base, and the commit that others pin it to.
BASE: Final = "FacebookAI/roberta-base"
BASE_REVISION: Final = "e2da8e2f811d1448a5b465c236feacd80ffbac7b"
_BASE: Final = "base of the paper's classifiers"
_SOURCE: Final = "source.json"

# Transformers before 4.31 also saved the tables of positions and token types, which hold no weights.
_TABLES: Final = ("roberta.embeddings.position_ids", "roberta.embeddings.token_type_ids")
# The errors of torch for bytes that are not a pickle, not a whole one, or one of more than tensors.
_UNREADABLE: Final = (
    pickle.UnpicklingError, OSError, EOFError, RuntimeError, ValueError, LookupError, TypeError, AttributeError,
    AssertionError, MemoryError,
)  # fmt: skip


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
        alignment_sha256: The sha256 that the file must have; needed when it is read for the first time, by default that one.
        perception_sha256: Likewise.
        base: The folder or repository of roberta-base's configuration and tokenizer.
        base_revision: The repository's commit; needed for another one.
        device: A torch device; by default this process's GPU where there is one, else the CPU.
        batch_size: Responses in a forward pass.

    Raises:
        UserError: A file cannot be had, or is not what it should be.
    """
    given: dict[Kind, tuple[str | None, str | None, str | None]] = {
        "alignment": (alignment, alignment_revision, alignment_sha256),
        "perception": (perception, perception_revision, perception_sha256),
    }
    found = {
        kind: converted(kind, *source, base, base_revision)
        for kind, source in given.items()
        if source != (None, None, None)
    }
    if not found:
        raise UserError(
            "judge paper: say which classifiers: alignment_revision=COMMIT or perception_revision=COMMIT, or both, of "
            f"https://huggingface.co/{REPOSITORIES['alignment']} and {REPOSITORIES['perception']}; of copies of their "
            "epoch_10.pt, alignment=FILE or perception=FILE"
        )
    name = "-".join(["paper-roberta", *(digits[:12] for _, digits in found.values())])
    return ClassifierJudge(
        name, {kind: TextClassifier(str(folder), device, batch_size, kind) for kind, (folder, _) in found.items()}
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Print the folder of a converted classifier; returns 2, with a message, when the classifier cannot be had."""
    parser = CommandParser(
        prog="python -m harness_ext.judges.classifier.paper",
        description="Converts one of the authors' classifiers, as the judge paper does, and prints its folder.",
    )
    parser.add_argument("kind", choices=list(LABELS), help=" or ".join(REPOSITORIES.values()))
    parser.add_argument("--revision", metavar="COMMIT", help="the repository's commit, a branch, or a tag")
    parser.add_argument("--file", metavar="FILE", help="a copy of its epoch_10.pt instead")
    parser.add_argument("--sha256", help="what the file's sha256 must be")
    parser.add_argument(
        "--base", default=BASE, help="roberta-base's configuration and tokenizer (default: %(default)s)"
    )
    parser.add_argument("--base-revision", metavar="COMMIT", help="its commit; needed for another one")
    given = vars(parser.parse_args(argv))
    return exit_status(parser.prog, lambda: say(converted(**given)[0]))


# --- converted and kept -----------------------------------------------------------------------------------------------


def converted(
    kind: Kind,
    file: str | None = None,
    revision: str | None = None,
    sha256: str | None = None,
    base: str = BASE,
    base_revision: str | None = None,
) -> tuple[Path, str]:
    """The folder of a classifier of the authors, under ``judges`` in the cache folder, and the sha256 of their file.

    The first call converts it. The folder's ``source.json`` records the sha256 of the file, its seal those of what it was
    converted to; both are checked at every use. The arguments are as in :func:`paper_judge`; ``file`` is given instead of
    ``revision``.

    Raises:
        UserError: It cannot be had, has the wrong sha256 or tensors, has changed since it was first read, or is read for the
            first time without a ``sha256``.
    """
    if sha256 is not None and not re.fullmatch("[0-9a-f]{64}", sha256):
        raise UserError(f"{kind}_sha256: expected 64 hexadecimal digits, as sha256sum prints them, found {sha256!r}")
    if (file is None) == (revision is None):
        raise UserError(
            f"expected either {kind}_revision=COMMIT, of {REPOSITORIES[kind]}, or {kind}=FILE, found both or neither"
        )
    source = _source(kind, file, revision, base, base_revision)
    folder = cache_dir() / "judges" / f"{kind}-{digest_of(json.dumps(source))[:12]}"
    with held(Path(f"{folder}.lock"), functools.partial(not_cached, folder)):
        kept = _kept(folder) if folder.exists() else None
        # A folder from before there were seals is converted again.
        whole = kept is not None and is_sealed(folder)
        if kept is not None and whole and "commit" in source:
            found = kept  # a commit's file cannot change
        else:
            pickled = Path(source["file"]) if file else _fetched(source["repository"], source["commit"])
            require_whole(pickled, "")
            found = digest_of(pickled)
        if (expected := sha256 or kept) is None:
            raise UserError(
                f"{file or REPOSITORIES[kind]}: its sha256 is {found}, and nothing of it was read, for none is known here to "
                f"hold it to.\nIf this file is meant: {kind}_sha256={found} (of the judge), --sha256 {found} (of the command)"
            )
        if expected != found:
            whose = "given" if sha256 else "that of the file that was read first from there"
            raise UserError(
                f"{file or REPOSITORIES[kind]}: expected the sha256 {expected}, {whose}, found {found}; nothing of it was "
                f"read.\nIf this file is meant: {kind}_sha256={found}"
            )
        if kept != found or not whole:
            if kept is not None:
                shutil.rmtree(folder)
            config, tokenizer = open_base(source["base"], source.get("base_revision"), kind)
            model = read_pickle(pickled, config)
            with new_folder(folder) as scratch:
                model.save_pretrained(scratch)
                tokenizer.save_pretrained(scratch)
                record = {"source": source, "kind": kind, "sha256": found}
                write_text(scratch / _SOURCE, json.dumps(record, indent=2) + "\n")
                seal(scratch)
    return folder, found


def _source(kind: Kind, file: str | None, revision: str | None, base: str, base_revision: str | None) -> dict[str, str]:
    """The names and commits that a classifier is made from."""
    if file is not None:
        source = {"file": str(Path(file).expanduser().resolve())}
    else:
        source = {"repository": REPOSITORIES[kind], "commit": _resolved(REPOSITORIES[kind], str(revision))}
    if Path(base).is_dir():
        return {**source, "base": str(Path(base).resolve())}
    known = base_revision or (BASE_REVISION if base == BASE else None)
    if known is None:
        raise UserError(f"base {base!r}: expected base_revision=COMMIT beside it, found none")
    return {**source, "base": base, "base_revision": str(commit_of(base, known, _BASE))}


def _kept(folder: Path) -> str:
    """The sha256 of the pickle that a converted folder was made from. Raises ``UserError`` where the folder is not whole."""
    remedy = "remove that folder, and it is converted again"
    if is_sealed(folder):
        require_unchanged(folder, "", remedy)
    kept = read_json(folder / _SOURCE).get("sha256") if (folder / _SOURCE).is_file() else None
    if not isinstance(kept, str):
        raise UserError(f"{folder} is not whole (no sha256 in {_SOURCE}); {remedy}")
    return kept


# --- the hub ----------------------------------------------------------------------------------------------------------


def _resolved(repository: str, revision: str) -> str:
    """The commit that ``revision`` names, 40 hexadecimal digits; that of a branch or a tag is looked up and printed."""
    if re.fullmatch("[0-9a-f]{40}", revision):
        return revision
    commit = hub_file(
        repository, revision, FILE, f"cannot look up the revision {revision!r} of {repository}: "
    ).parent.name
    say(f"{repository}: {revision} is {commit}; name that commit to read the same classifier again", file=sys.stderr)
    return commit


def _fetched(repository: str, commit: str) -> Path:
    return hub_file(repository, commit, FILE, f"cannot fetch {FILE} of {repository} at {commit}: ")


def open_base(base: str, revision: str | None, kind: Kind) -> tuple[FirstTokenConfig, PreTrainedTokenizerBase]:
    """The configuration of a classifier of ``kind`` on ``base``, and the base's tokenizer.

    Raises ``UserError`` where they cannot be loaded, or are not a RoBERTa's.
    """
    locate(base, revision, _BASE)
    with read_by_libraries(f"base {base!r} cannot be loaded: "):
        config = AutoConfig.from_pretrained(base, revision=revision)
        tokenizer = AutoTokenizer.from_pretrained(base, revision=revision)
    if not isinstance(config, RobertaConfig) or len(tokenizer) != config.vocab_size:
        raise UserError(
            f"base {base!r}: expected roberta-base with its tokenizer, found a {config.model_type} of {config.vocab_size} "
            f"words with a tokenizer of {len(tokenizer)}"
        )
    # RoBERTa's positions begin after the padding's: a table of 514 takes 512 tokens, to which the authors' code cuts.
    positions = config.max_position_embeddings - config.pad_token_id - 1
    tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
    settings = {name: value for name, value in config.to_dict().items() if name not in ("model_type", "architectures")}
    return FirstTokenConfig(**{**settings, **named_labels(kind)}), tokenizer


# --- the pickle -------------------------------------------------------------------------------------------------------


def read_pickle(file: Path, config: FirstTokenConfig) -> FirstTokenClassifier:
    """The classifier of ``config``, in float32, whose state dict is pickled in ``file``; nothing in the pickle is run.

    The authors load with ``strict=False``, which ignores a file of other names; here every name and shape is checked.

    Raises:
        UserError: It is not whole, holds something other than tensors, or other tensors than these.
    """
    cannot = f"{file} cannot be used: "
    try:
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=False)
    except _UNREADABLE as error:
        raise UserError(
            f"{cannot}expected a pickle of tensors alone, found one that is damaged or holds code ({one_line(error)}).\n"
            "Nothing of it was run; fetch the file again, from where it was published"
        ) from error
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise UserError(f"{cannot}expected a state dict, tensors by name, found a {type(state).__name__} of others")
    weights = {name: value for name, value in state.items() if name not in _TABLES}
    for name, value in weights.items():
        if not (value.is_floating_point() and value.isfinite().all()):
            raise UserError(f"{cannot}{name}: expected finite floating-point numbers")
    positions = config.max_position_embeddings
    for name, plain in zip(_TABLES, (torch.arange(positions), torch.zeros(positions)), strict=True):
        if name in state and not torch.equal(state[name].double(), plain.double()[None]):
            raise UserError(f"{cannot}{name}: expected the plain table that RoBERTa has, found another")
    model = FirstTokenClassifier(config)
    # RobertaModel has a pooler by default, which goes unused.
    if any(name.startswith("roberta.pooler.") for name in weights):
        model.roberta.pooler = RobertaPooler(config)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            f"{cannot}{one_line(error)}.\nExpected the authors' {FILE}: `roberta.`, of the base that base=… names, and "
            f"`classifier.`, one linear layer of {config.num_labels} labels ({', '.join(config.id2label.values())})"
        ) from error
    model.roberta.pooler = None
    return model


if __name__ == "__main__":
    sys.exit(main())
