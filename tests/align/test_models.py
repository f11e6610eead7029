"""Which model is found, which of its layers get a LoRA, and that no dropout is left where it must be off."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from tiny_vlms import FAMILIES, PROMPTS
from torch import nn

from align import models
from align.models import find_base, language_layers, lora_config, switch_off_dropout
from align.settings import ModelConfig
from harness_ext.common.errors import UserError
from harness_ext.models.loading import load_model, load_processor

Built = tuple[Any, Any]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Built]:
    """A tiny model of a family, and its processor."""

    def build(family: str) -> Built:
        folder = tmp_path_factory.mktemp(family)
        FAMILIES[family](folder)
        options = {"dtype": "float32", "device": "cpu", "device_map": None, "attn_implementation": None}
        model = load_model(str(folder), revision=None, adapter=None, trust_remote_code=False, **options)
        return model, load_processor(str(folder), None, False, PROMPTS.get(family))

    return build


@pytest.mark.parametrize(
    ("family", "names", "count"),
    [
        ("llava", ModelConfig().lora_modules, 14),
        ("qwen2_vl", ModelConfig().lora_modules, 14),
        ("mllama", ModelConfig().lora_modules, 28),
        ("llama4", ModelConfig().lora_modules, 28),  # its decoder is a language model with a head
        ("gemma3n", ModelConfig().lora_modules, 38),  # with lists of other layers beside the blocks
        ("blip-2", ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"], 12),
        (
            "phi4_multimodal",
            ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"],
            8,
        ),  # a vision tower inside the decoder
    ],
)
def test_the_language_models_layers_get_a_lora(
    family: str, names: list[str], count: int, built: Callable[[str], Built]
) -> None:
    model, _ = built(family)
    lora = lora_config(model, ModelConfig(lora_modules=names, lora_r=2))
    adapted = get_peft_model(model, lora)
    layers = [
        name for name, module in adapted.named_modules() if isinstance(getattr(module, "lora_A", None), nn.Module)
    ]
    assert len(layers) == count
    assert {name.rpartition(".")[2] for name in layers} == set(names)
    assert not [name for name in layers if re.search("vision|visual|image|audio|projector|img", name)]
    assert all("lora_" in name for name, each in adapted.named_parameters() if each.requires_grad)


def test_a_layer_that_there_is_not(built: Callable[[str], Built]) -> None:
    model, _ = built("phi4_multimodal")
    with pytest.raises(UserError, match=r"no linear layers called q_proj, gate_proj; expected some of .*qkv_proj"):
        language_layers(model, ["q_proj", "o_proj", "gate_proj"])


@pytest.mark.parametrize(("family", "modules"), [("llava", ["q_proj", "up_proj"]), ("blip-2", ["fc1"])])
def test_no_dropout_is_left(family: str, modules: list[str], built: Callable[[str], Built]) -> None:
    """Neither of the LoRA, nor of attention, which drops by a function that TRL's own `disable_dropout` does not know."""
    model, processor = built(family)
    for module in model.modules():
        for name in ("dropout", "attention_dropout"):
            if isinstance(vars(module).get(name), float):
                setattr(module, name, 0.5)
    lora = LoraConfig(r=4, lora_dropout=0.5, init_lora_weights=False, target_modules=language_layers(model, modules))
    adapted = get_peft_model(model, lora)
    image = Image.effect_noise((48, 48), 64).convert("RGB")
    turns = [{"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": "Is it safe?"}]}]
    options = {"add_generation_prompt": True, "tokenize": True, "return_dict": True, "return_tensors": "pt"}
    inputs = processor.apply_chat_template(turns, **options)

    def scores() -> torch.Tensor:
        torch.manual_seed(0)
        with torch.no_grad():
            return adapted(**inputs).logits

    evaluated = adapted.eval() and scores()
    assert not torch.equal(adapted.train() and scores(), evaluated)
    switch_off_dropout(adapted)
    assert torch.equal(adapted.train() and scores(), evaluated)


def test_the_catalogues_names(monkeypatch: pytest.MonkeyPatch, untrained_vlm: Path) -> None:
    monkeypatch.setattr(models, "ensure_model", lambda seed: Path(f"/built/{seed}"))
    assert find_base(ModelConfig()).pretrained == "/built/0"
    assert find_base(ModelConfig()).asked_as == ("glyph-vlm", "")
    other = find_base(ModelConfig(glyphworld_seed=3))
    assert (other.pretrained, other.commit, other.asked_as) == (
        "/built/3",
        None,
        ("glyph-vlm", "pretrained=glyphworld:3"),
    )
    folder = find_base(ModelConfig(model=str(untrained_vlm)))
    assert folder.asked_as == ("hf-vlm", f"pretrained={untrained_vlm}") and folder.pretrained == str(untrained_vlm)


def test_a_repository_in_the_cache(untrained_vlm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue's commit, and the name that an evaluation compares with the adapter's base."""
    commit = "b234b804b114d9e37bb655e11cbbb5f5e971b7a9"
    cached = tmp_path / "models--llava-hf--llava-1.5-7b-hf" / "snapshots" / commit
    cached.parent.mkdir(parents=True)
    cached.symlink_to(untrained_vlm)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path))
    base = find_base(ModelConfig(model="llava-7b"))
    assert (base.pretrained, base.commit) == ("llava-hf/llava-1.5-7b-hf", commit)
    assert base.asked_as == ("llava-7b", "")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ModelConfig(model="gpt-4v"), "cannot be trained here: its backend is 'api'"),
        (ModelConfig(model="cogvlm"), "its backend is 'cogvlm'"),
        (ModelConfig(model="hf-vlm"), "stands for any weights: name a folder or a hub repository instead"),
        (ModelConfig(model="llava-8b"), "there is no such folder, and a hub repository is named OWNER/NAME"),
        (ModelConfig(model_revision="main"), "model_revision: 'glyph-vlm' has none; say glyphworld_seed"),
    ],
)
def test_models_that_cannot_be_trained(config: ModelConfig, message: str) -> None:
    with pytest.raises(UserError, match=message):
        find_base(config)


def test_an_adapter_is_no_base(tmp_path: Path) -> None:
    """Nor is one beside the weights, which transformers would put on them."""
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "llava-hf/llava-1.5-7b-hf"}')
    for also in ("adapter_model.safetensors", "config.json"):
        (tmp_path / also).write_text("{}")
        with pytest.raises(
            UserError, match=r"is a LoRA adapter \(of llava-hf/llava-1.5-7b-hf\).*:\nname its base"
        ) as error:
            find_base(ModelConfig(model=str(tmp_path)))
        assert "adapter=" not in str(error.value)


def test_weights_that_are_not_whole_are_found_with_the_model(untrained_vlm: Path, tmp_path: Path) -> None:
    """Before rows are made and anything is hashed."""
    folder = Path(shutil.copytree(untrained_vlm, tmp_path / "vlm"))
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(UserError, match=r"model\.safetensors is a git-LFS pointer"):
        find_base(ModelConfig(model=str(folder)))


def test_a_template_without_an_image(untrained_vlm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before the weights are read, whatever the method."""
    folder = Path(shutil.copytree(untrained_vlm, tmp_path / "vlm"))
    (folder / "chat_template.jinja").write_text(
        "{%- for turn in messages -%}{%- for part in turn['content'] if part['type'] == 'text' -%}"
        "{{ part['text'] }}{%- endfor -%}{%- endfor -%}"
    )
    monkeypatch.setattr(models, "load_model", lambda *_, **__: pytest.fail("the weights were read"))
    config = ModelConfig(model=str(folder))
    with pytest.raises(UserError, match="its chat template does not put the image into a prompt"):
        models.load(find_base(config), config, torch.device("cpu"))
