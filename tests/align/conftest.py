"""A made-up UnsafeConcepts, and a tiny text classifier on disk: RoBERTa's architecture, random weights, its own tokenizer."""

from pathlib import Path

import pytest
from gated_copies import copies, gated  # noqa: F401


@pytest.fixture(scope="session")
def text_classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its labels are in another order than ours, and what it says differs from text to text."""
    import torch
    from paper_files import write_base
    from transformers import RobertaConfig, RobertaForSequenceClassification

    folder = write_base(tmp_path_factory.mktemp("text_classifier"))
    config = RobertaConfig.from_pretrained(
        folder, id2label={0: "na", 1: "unsafe", 2: "safe"}, label2id={"na": 0, "unsafe": 1, "safe": 2}
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        RobertaForSequenceClassification(config).save_pretrained(folder)
    return folder
