"""Weights that are spoilt where a test can say which prompts meet it."""

import math
from pathlib import Path

from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer


def put_nan(folder: Path, text: str) -> None:
    """Put a NaN into the embedding of ``text``, one token, of the checkpoint in ``folder``."""
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    (token,) = tokenizer(text, add_special_tokens=False)["input_ids"]
    tensors = load_file(folder / "model.safetensors")
    (name,) = (name for name in tensors if name.endswith(("embed_tokens.weight", "tok_embeddings.weight")))
    tensors[name][token, 0] = math.nan
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
