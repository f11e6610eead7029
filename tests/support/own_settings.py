"""Checkpoints with generation settings of their own."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

# Each changes what `generate` draws.
OWN_SETTINGS: Final[dict[str, Any]] = {
    "do_sample": True,
    "temperature": 0.3,
    "top_p": 0.5,
    "top_k": 3,
    "min_p": 0.2,
    "typical_p": 0.5,
    "epsilon_cutoff": 0.01,
    "repetition_penalty": 3.0,
    "no_repeat_ngram_size": 1,
    "min_new_tokens": 6,
    "max_length": 3,
    "forced_bos_token_id": 37,
    "forced_eos_token_id": 35,
    "exponential_decay_length_penalty": [1, 2.0],
    "begin_suppress_tokens": list(range(0, 200, 2)),
    "suppress_tokens": list(range(0, 200, 3)),
    "bad_words_ids": [[each] for each in range(1, 200, 5)],
    "sequence_bias": [[[each], -20.0] for each in range(1, 200, 7)],
}


def with_generation_settings(checkpoint: Path, copy: Path, own: Mapping[str, Any]) -> Path:
    """``checkpoint`` as the folder ``copy``, whose ``generation_config.json`` has ``own`` too."""
    shutil.copytree(checkpoint, copy)
    file = copy / "generation_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **own}))
    return copy
