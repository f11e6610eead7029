"""A small transformer that begins from nothing: some minutes on a CPU, for short answers of known forms."""

from collections.abc import Sequence
from typing import Final

from tokenizers import ByteLevelBPETokenizer
from tokenizers.processors import RobertaProcessing
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, RobertaConfig

_SPECIAL: Final = ("<s>", "<pad>", "</s>")
_WORDS: Final = 2000
_TOKENS: Final = 256


def tiny_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerBase:
    """A byte-level BPE, which can write any text, of what is frequent in ``texts``; responses are cut to 256 tokens."""
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        texts, vocab_size=_WORDS, min_frequency=2, special_tokens=list(_SPECIAL), show_progress=False
    )
    bpe.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0))
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        model_max_length=_TOKENS,
    )


def tiny_config(words: int) -> RobertaConfig:
    """A RoBERTa of two layers, 64 wide."""
    return RobertaConfig(
        vocab_size=words,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=_TOKENS + 2,
        type_vocab_size=1,
        initializer_range=0.05,
    )
