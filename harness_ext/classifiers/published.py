"""Where the authors' checkpoints and their base come from: the hub, at a commit, or the user's own copies."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase, RobertaConfig

from harness_ext.benchmark.sources.network import call_within, httpx
from harness_ext.classifiers.first_token import FirstTokenConfig
from harness_ext.classifiers.labels import LABELS, Kind
from harness_ext.errors import UserError
from harness_ext.failures import failure_reason
from harness_ext.models.checkpoint import locate

REPOSITORIES: Final[Mapping[Kind, str]] = {
    "alignment": "yiting/alignment_classifier",
    "perception": "yiting/perception_classifier",
}
FILE: Final = "epoch_10.pt"
# What the authors' code calls roberta-base, and the commit that others pin it to.
BASE: Final = "FacebookAI/roberta-base"
BASE_REVISION: Final = "e2da8e2f811d1448a5b465c236feacd80ffbac7b"
_COMMIT: Final = re.compile("[0-9a-f]{40}")
_RESOLVE_SECONDS: Final = 15.0


def resolved(repository: str, revision: str) -> str:
    """The commit that ``revision`` names, 40 hexadecimal digits; a branch or a tag is looked up once, and said.

    Raises:
        UserError: The hub does not say.
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
        UserError: They cannot be had, or are not those of a RoBERTa.
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
    # RoBERTa's positions begin after the padding's: 512 tokens of a table of 514, as the authors' code cuts responses.
    tokenizer.model_max_length = min(
        tokenizer.model_max_length, config.max_position_embeddings - config.pad_token_id - 1
    )
    labels = dict(enumerate(LABELS[kind]))
    settings = {name: value for name, value in config.to_dict().items() if name not in ("model_type", "architectures")}
    settings |= {"id2label": labels, "label2id": {label: at for at, label in labels.items()}}
    return FirstTokenConfig(**settings), tokenizer
