"""What every tiny family is built from: a tokenizer, weights that make answers depend on the prompt, and a saved folder."""

import functools
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast, ProcessorMixin

from harness_ext.benchmark.questions import IMAGE_QUESTIONS

WIDTH = 32
HEADS = 4
TEXT: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS // 2,
    "head_dim": WIDTH // HEADS,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}
"""The language model of every family that names its sizes as Llama does; two query heads share a key head."""

VISION: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
}
"""The vision tower of every family that names its sizes as CLIP does; its image and patch sizes are the family's."""

_VOCABULARY = 384
_GAIN = 2.0
_SENTENCES = [
    *IMAGE_QUESTIONS,
    "What does this image show? Answer with the option's letter.",
    "Yes, it is. No, it is not.",
]


# Whole answers, each a token of the checkpoints that are built, and all that these say; none for any answer.
_answers: tuple[str, ...] = ()


@contextmanager
def saying(*answers: str) -> Iterator[None]:
    """Within it, checkpoints are built that give one of ``answers``, whole, as a token."""
    global _answers
    _answers = answers
    try:
        yield
    finally:
        _answers = ()


@functools.cache
def _trained() -> str:
    """A byte-level BPE without special tokens, as JSON."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_SENTENCES * 4, trainer)
    return tokenizer.to_str()


def build_tokenizer(
    *special: str,
    pad: str,
    eos: str,
    bos: str | None = None,
    adds_bos: bool = False,
    named: Mapping[str, str] | None = None,
    padding_side: str = "left",
) -> PreTrainedTokenizerFast:
    """A tokenizer of some 400 tokens that encodes any text.

    Args:
        special: Further special tokens, such as those of a chat template.
        pad: The padding token.
        eos: The token that ends an answer.
        bos: The token that begins a text, if the family has one.
        adds_bos: Put ``bos`` before every text that is tokenised, as Llama's tokenizer does.
        named: Special tokens that a processor reads as attributes of the tokenizer: ``{"image_token": "<image>"}`` gives
            ``tokenizer.image_token`` and ``tokenizer.image_token_id``.
        padding_side: Where a saved checkpoint of the family pads.
    """
    named = dict(named or {})
    tokenizer = Tokenizer.from_str(_trained())
    tokenizer.add_special_tokens(list(dict.fromkeys([pad, *([bos] if bos else []), eos, *special, *named.values()])))
    tokenizer.add_tokens([AddedToken(answer, normalized=False) for answer in _answers])
    if adds_bos:
        assert bos, "adds_bos needs a bos token"
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A $B", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=pad,
        eos_token=eos,
        bos_token=bos,
        extra_special_tokens=named,
        padding_side=padding_side,
        model_max_length=2048,
    )


def text_config(model_type: str, tokenizer: PreTrainedTokenizerFast, **more: Any) -> dict[str, Any]:
    """The configuration of a tiny language model of the sizes ``TEXT`` for ``tokenizer``, under what ``more`` says."""
    tokens = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    return {"model_type": model_type} | tokens | TEXT | more


def build_model(model_class: type[PreTrainedModel], config: PreTrainedConfig, seed: int = 0) -> PreTrainedModel:
    """A model whose random weights let every part of a prompt be heard in the answer, the image too.

    Weights of the usual small deviation leave a residual stream in which the last token alone is heard, and the same
    answer to everything. Here embeddings have the deviation 1, and each matrix multiplies the scale of what it is given
    by ``_GAIN``: attention then picks out some tokens, rather than average all. Vectors (norms, biases) stay as the
    class initialises them.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = model_class(config)
        with torch.no_grad():
            for module in model.modules():
                for name, parameter in module.named_parameters(recurse=False):
                    if parameter.ndim >= 2:
                        parameter.normal_(std=_deviation(module, name, parameter))
    return model.eval()


def _deviation(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter) -> float:
    if isinstance(module, torch.nn.Linear | torch.nn.modules.conv._ConvNd):
        return _GAIN / math.sqrt(parameter[0].numel())
    if name in ("gate_up_proj", "down_proj"):  # of all experts in one tensor
        return _GAIN / math.sqrt(parameter.shape[-1])
    return 1.0  # embeddings, and the like outside of an embedding layer


def unsaid(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """The tokens that are no printable ASCII, which would make a poor answer.

    Special tokens would decode to nothing or end an answer at once, and single bytes of longer characters all decode to
    the same replacement character, which would make different answers look the same.
    """
    if _answers:
        said = set(tokenizer.convert_tokens_to_ids(list(_answers)))
        return [token for token in range(len(tokenizer)) if token not in said]
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    texts = {token: tokenizer.decode([token]) for token in range(len(tokenizer))}
    return [token for token, text in texts.items() if token in special or not (text.isascii() and text.isprintable())]


def save(folder: Path, model: PreTrainedModel, processor: ProcessorMixin) -> None:
    """Write a checkpoint that answers in printable ASCII alone."""
    tokenizer = processor.tokenizer
    model.generation_config.update(
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        suppress_tokens=unsaid(tokenizer),
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
