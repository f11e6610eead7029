"""An adapter's regular expressions are tried on the names of the model's layers, for so long, before PEFT meets them."""

import json
from pathlib import Path

import pytest
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from harness_ext.common import time_limit
from harness_ext.common.errors import UserError
from harness_ext.models.loading import put_adapter


def model() -> LlamaForCausalLM:
    sizes = {
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "vocab_size": 8,
    }
    return LlamaForCausalLM(LlamaConfig(**sizes))


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    get_peft_model(model(), LoraConfig(target_modules=r".*\.(q|v)_proj")).save_pretrained(tmp_path)
    return tmp_path / "adapter_config.json"


def change(file: Path, **changed: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"target_modules": "((.*)*)*x"}, "takes more than 0.3 seconds"),
        ({"rank_pattern": {"((.*)*)*x": 4}}, "takes more than 0.3 seconds"),
        ({"target_modules": "(q"}, "missing \\), unterminated subpattern"),
        ({"rank_pattern": 3}, "expected a mapping, found 3"),
        ({"r": "four"}, "cannot put the adapter"),
    ],
)
def test_what_hangs_or_is_wrong_is_refused(
    adapter: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, object], said: str
) -> None:
    # Only what hangs is cut off: others may be slow on a machine with much to do.
    monkeypatch.setattr(time_limit, "SECONDS", 0.3 if "seconds" in said else 60)
    change(adapter, **changed)
    with pytest.raises(UserError, match=said):
        put_adapter(model(), str(adapter.parent), "somebody/base")


def test_an_adapter_of_patterns_is_put_on(adapter: Path) -> None:
    assert put_adapter(model(), str(adapter.parent), "somebody/base").peft_config
