"""The classifier that ``train-judge`` begins with: a small new transformer, or a checkpoint from a folder or the hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import ByteLevelBPETokenizer
from tokenizers.processors import RobertaProcessing
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    RobertaConfig,
)

from harness_ext.common.errors import UserError
from harness_ext.common.failures import failure_reason
from harness_ext.judges.classifier import LABELS, Kind
from harness_ext.judges.classifier.paper import BASE, BASE_REVISION, resolved
from harness_ext.models.checkpoint import locate, require_weights
from harness_ext.models.identity import fingerprint

TINY: Final = "tiny"
_TOKENS: Final = 512
_TINY_TOKENS: Final = 256
_TINY_WORDS: Final = 2000
_SPECIAL: Final = ("<s>", "<pad>", "</s>")


@dataclass(frozen=True)
class Start:
    """The beginning of a training.

    Attributes:
        name: ``"tiny"``, a folder or a hub repository.
        revision: The repository's commit.
        identity: Its identity, by contents or by commit.
    """

    name: str
    revision: str | None
    identity: str


def find_start(base: str, revision: str | None) -> Start:
    """The start that ``--base`` names; ``roberta-base`` is the commit on which the paper's judges are read.

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
    """The classifier to train, with a head of ``kind``'s labels, and its tokenizer, which a tiny one learns from ``texts``.

    Raises:
        UserError: The checkpoint cannot be loaded, or lacks more than the head.
    """
    labels = dict(enumerate(LABELS[kind]))
    named = {"num_labels": len(labels), "id2label": labels, "label2id": {label: at for at, label in labels.items()}}
    if start.name == TINY:
        tokenizer = _tiny_tokenizer(texts)
        config = _tiny_config(len(tokenizer))
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
    # Two positions of RoBERTa's table are not for text, for padding has one too.
    positions = getattr(config, "max_position_embeddings", _TOKENS + 2) - 2
    tokenizer.model_max_length = min(tokenizer.model_max_length, _TOKENS, positions)
    return model, tokenizer


def _tiny_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerBase:
    """A byte-level BPE, which can write any text, learnt from ``texts``; it cuts responses to 256 tokens."""
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        texts, vocab_size=_TINY_WORDS, min_frequency=2, special_tokens=list(_SPECIAL), show_progress=False
    )
    bpe.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0))
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        model_max_length=_TINY_TOKENS,
    )


def _tiny_config(words: int) -> RobertaConfig:
    """A RoBERTa of two layers, 64 wide: minutes of training on a CPU, for short answers of known forms."""
    return RobertaConfig(
        vocab_size=words,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=_TINY_TOKENS + 2,
        type_vocab_size=1,
        initializer_range=0.05,
    )
