"""A base of four bits: which layers have them, and what is said without bitsandbytes or where an engine spreads weights."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit
from torch import nn

from align.models import find_base
from align.record import differences
from align.run import run
from align.settings import ModelConfig, read_settings
from harness_ext.common.errors import UserError
from harness_ext.models.loading import load_model

OPTIONS = ["--load_in_4bit", "true", "--use_cpu", "true", "--bf16", "false", "--report_to", "none"]


def test_the_language_models_layers_have_four_bits_and_no_others(untrained_vlm: Path) -> None:
    given = {"revision": None, "dtype": "float32", "device": "cpu"}
    whole, model = (load_model(str(untrained_vlm), **given, load_in_4bit=each) for each in (False, True))
    decoder = {id(each) for each in model.get_decoder().modules()}
    linear = {name: each for name, each in model.named_modules() if isinstance(each, nn.Linear)}
    quantised = {name for name, each in linear.items() if isinstance(each, Linear4bit)}
    assert quantised == {name for name, each in linear.items() if id(each) in decoder} and quantised < linear.keys()
    exact = dict(whole.named_modules())
    for name in sorted(quantised)[:4]:
        made = dequantize_4bit(linear[name].weight.data, linear[name].weight.quant_state)
        error = (made - exact[name].weight).norm() / exact[name].weight.norm()
        assert 0 < error < 0.12  # NF4 on normally distributed weights: about .09


def test_bitsandbytes_is_named_where_it_is_missing(untrained_vlm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def found(name: str, *rest: Any) -> Any:
        return None if name == "bitsandbytes" else find(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", found)
    with pytest.raises(UserError, match=r"load_in_4bit: needs bitsandbytes.*unsafeconcepts\[qlora\]"):
        load_model(str(untrained_vlm), revision=None, dtype="float32", device="cpu", load_in_4bit=True)


@pytest.mark.parametrize("variable", ["ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"])
def test_engines_that_spread_weights_are_refused(
    variable: str, untrained_vlm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = read_settings("sft", ["--model", str(untrained_vlm), "--output_dir", str(tmp_path / "out"), *OPTIONS])
    monkeypatch.setenv(variable, "true")
    with pytest.raises(UserError, match="load_in_4bit: FSDP and DeepSpeed do not spread weights of four bits"):
        run(settings, "align")
    assert not (tmp_path / "out").exists()


def test_an_adapter_is_asked_on_the_base_that_it_was_trained_on(untrained_vlm: Path) -> None:
    found = find_base(ModelConfig(str(untrained_vlm), load_in_4bit=True))
    assert found.asked_as == ("hf-vlm", f"pretrained={untrained_vlm},load_in_4bit=True")
    assert find_base(ModelConfig(load_in_4bit=True)).asked_as == ("glyph-vlm", "load_in_4bit=True")


def test_a_run_from_before_the_setting_resumes_without_it() -> None:
    before: dict[str, Any] = {"method": "sft", "model": {"lora_r": 2}}
    assert differences(before, {**before, "model": {"lora_r": 2, "load_in_4bit": False}}) == []
    (found,) = differences(before, {**before, "model": {"lora_r": 2, "load_in_4bit": True}})
    assert found.startswith("load_in_4bit: null there, true now")
    rows: dict[str, Any] = {"renders": 4, "passes": 4}
    assert differences({**before, "data": rows}, {**before, "data": {**rows, "modality": "image"}}) == []
    (found,) = differences({**before, "data": rows}, {**before, "data": {**rows, "modality": "text"}})
    assert found == 'modality: "image" there, "text" now'
