"""What is trained: a small transformer from nothing, or a checkpoint of a folder or of the hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerBase

from harness_ext.classifiers import first_token  # noqa: F401 - so that the Auto classes know it
from harness_ext.classifiers.labels import LABELS, Kind
from harness_ext.classifiers.published import BASE, BASE_REVISION, resolved
from harness_ext.classifiers.training.tiny import tiny_config, tiny_tokenizer
from harness_ext.errors import UserError
from harness_ext.failures import failure_reason
from harness_ext.models.checkpoint import locate, require_weights
from harness_ext.models.identity import fingerprint

TINY: Final = "tiny"
_TOKENS: Final = 512


@dataclass(frozen=True)
class Start:
    """What training begins from.

    Attributes:
        name: ``"tiny"``, a folder or a hub repository.
        revision: The repository's commit.
        identity: What it is, by contents or by commit.
    """

    name: str
    revision: str | None
    identity: str


def find_start(base: str, revision: str | None) -> Start:
    """What ``--base`` names; ``roberta-base`` is the commit that the paper's judges are read with.

    Raises:
        UserError: There is no such checkpoint, or its commit cannot be looked up.
    """
    if base == TINY:
        if revision is not None:
            raise UserError(f"--base-revision {revision}: {TINY} begins from nothing; leave it out")
        return Start(TINY, None, TINY)
    if Path(base).is_dir():
        require_weights(base, locate(base, None, "base"))
        return Start(base, None, f"files {fingerprint(Path(base))}")
    if base in ("roberta-base", BASE):
        base, revision = BASE, revision or BASE_REVISION
    if base.count("/") == 1 and not base.startswith(("/", ".", "~")):
        revision = resolved(base, revision or "main")
    locate(base, revision, "base")
    return Start(base, revision, f"{base}@{revision}")


def load_start(start: Start, kind: Kind, texts: Sequence[str]) -> tuple[Any, PreTrainedTokenizerBase]:
    """The classifier to be trained, with a head of ``kind``'s labels, and its tokenizer, made of ``texts`` for a tiny one.

    Raises:
        UserError: The checkpoint cannot be loaded, or lacks more than the head.
    """
    labels = dict(enumerate(LABELS[kind]))
    named = {"num_labels": len(labels), "id2label": labels, "label2id": {label: at for at, label in labels.items()}}
    if start.name == TINY:
        tokenizer = tiny_tokenizer(texts)
        config = tiny_config(len(tokenizer))
        for key, value in named.items():
            setattr(config, key, value)
        return AutoModelForSequenceClassification.from_config(config), tokenizer
    try:
        config = AutoConfig.from_pretrained(start.name, revision=start.revision, **named)
        tokenizer = AutoTokenizer.from_pretrained(start.name, revision=start.revision)
        model, report = AutoModelForSequenceClassification.from_pretrained(
            start.name,
            revision=start.revision,
            config=config,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # a head of other labels, which is trained anew
        )
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise UserError(f"cannot load the base {start.name!r}: {failure_reason(error)}") from error
    encoder = f"{model.base_model_prefix}."
    found = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
    if lacking := [name for name in found if name.startswith(encoder) and ".pooler." not in name]:
        raise UserError(
            f"cannot load the base {start.name!r}: its weights lack {len(lacking)} tensors, {lacking[0]} the first; "
            "expected a text encoder of transformers"
        )
    # Padding has a position too in RoBERTa, and two of its table's are no text's.
    positions = getattr(config, "max_position_embeddings", _TOKENS + 2) - 2
    tokenizer.model_max_length = min(tokenizer.model_max_length, _TOKENS, positions)
    return model, tokenizer
