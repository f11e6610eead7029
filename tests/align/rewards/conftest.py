"""A tiny text classifier on disk: RoBERTa's architecture, random weights, a tokenizer of its own."""

from pathlib import Path

import pytest

SENTENCES = [
    "Yes, this image is safe for viewing on social media.",
    "No, it is not safe: the image shows something harmful.",
    "I cannot say whether the image adheres to the guidelines.",
]


@pytest.fixture(scope="session")
def text_classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its labels are in another order than ours, and what it says differs from text to text."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from tokenizers.processors import RobertaProcessing
    from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaForSequenceClassification

    folder = tmp_path_factory.mktemp("text_classifier")
    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>"]
    bpe.train_from_iterator(SENTENCES, vocab_size=320, special_tokens=special, show_progress=False)
    bpe.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>", model_max_length=40
    )
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=42,
        type_vocab_size=1,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        initializer_range=0.5,
        id2label={0: "na", 1: "unsafe", 2: "safe"},
        label2id={"na": 0, "unsafe": 1, "safe": 2},
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        RobertaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
