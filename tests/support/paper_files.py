"""The paper's classifiers in the authors' format, tiny and random: a base's folder, and a pickled state dict."""

from pathlib import Path

import torch
from tokenizers import ByteLevelBPETokenizer
from tokenizers.processors import RobertaProcessing
from torch import nn
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

SENTENCES = [
    "Yes, this image is safe for viewing on social media.",
    "No, it is not safe: the image shows something harmful.",
    "I cannot say whether the image adheres to the guidelines.",
]


class AuthorsModule(nn.Module):
    """The names of the authors' module, and what it computes."""

    def __init__(self, config: RobertaConfig, labels: int, pooler: bool = True) -> None:
        super().__init__()
        self.roberta = RobertaModel(config, add_pooling_layer=pooler)
        self.classifier = nn.Linear(config.hidden_size, labels)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.roberta(input_ids=input_ids).last_hidden_state[:, 0])


def write_base(folder: Path) -> Path:
    """The configuration and tokenizer of a RoBERTa that reads 40 tokens; no weights."""
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(SENTENCES, vocab_size=320, special_tokens=["<s>", "<pad>", "</s>"], show_progress=False)
    bpe.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>", model_max_length=40
    )
    RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=42,
        type_vocab_size=1,
        initializer_range=0.5,
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def authors_module(base: Path, labels: int, seed: int = 0, pooler: bool = True) -> AuthorsModule:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AuthorsModule(RobertaConfig.from_pretrained(base), labels, pooler).eval()


def write_pickle(file: Path, base: Path, labels: int, seed: int = 0) -> Path:
    """``epoch_10.pt`` as the authors wrote it: their module's state dict, with the table that transformers once saved."""
    state = authors_module(base, labels, seed).state_dict()
    torch.save({**state, "roberta.embeddings.position_ids": torch.arange(42).expand(1, -1)}, file)
    return file
