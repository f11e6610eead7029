"""Tiny repositories of models that bring their own Python code, built into a folder without a download.

Each implements the interface that the published ones are asked by, in the manner of their time (transformers 4.3x: caches as
tuples, tables made by ``__init__``, helpers that transformers 5 has no more), around a random decoder that hears the image.
The code is in ``code/``; ``transformers`` loads it from a built folder as it would from a hub.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from tiny_vlms.common import build_model, build_tokenizer, unsaid
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.dynamic_module_utils import get_class_from_dynamic_module

_CODE = Path(__file__).with_name("code")
_CHAT = "{% for turn in messages %}{{ turn.role }}: {{ turn.content }}\n{% endfor %}assistant:"


def cogvlm(folder: Path, tokenizer_folder: Path | None = None) -> None:
    """CogVLM: ``build_conversation_input_ids``; its tokenizer is another repository's, as the published one's is."""
    tokenizer = build_tokenizer(pad="<pad>", bos="<s>", eos="</s>")
    tokenizer.save_pretrained(tokenizer_folder or folder)
    auto_map = {"AutoConfig": "configuration_cogvlm.CogVLMConfig", "AutoModelForCausalLM": _COGVLM}
    config = {"vocab_size": len(tokenizer), **_ids(tokenizer)}
    _write(folder, ["configuration_cogvlm", "modeling_cogvlm"], auto_map, config, unsaid(tokenizer))


def xcomposer2(folder: Path) -> None:
    """InternLM-XComposer2: ``chat`` that takes a tensor and gives (response, history); the tokenizer is code too."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ["<unk>", "<s>", "</s>", "[UNUSED_TOKEN_145]", "[UNUSED_TOKEN_146]"]
    (folder / "tokenizer.model").write_text("\n".join(names))
    described = {
        "auto_map": {"AutoTokenizer": ["tokenization_internlm_xcomposer2.InternLMXComposer2Tokenizer", None]},
        "tokenizer_class": "InternLMXComposer2Tokenizer",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(described))
    kinds = ["configuration", "modeling", "tokenization"]
    modules = [f"{kind}_internlm_xcomposer2" for kind in kinds]
    auto_map = {"AutoConfig": f"{modules[0]}.InternLMXcomposer2Config", "AutoModelForCausalLM": _XCOMPOSER2}
    config = {"vocab_size": len(names) + 256, "max_length": 4096, "architectures": ["InternLMXComposer2ForCausalLM"]}
    # One byte a token: only printable ones are said.
    silent = [*range(len(names)), *(len(names) + byte for byte in range(256) if not 32 <= byte < 127)]
    _write(folder, modules, auto_map, config, silent)


def minicpmv(folder: Path) -> None:
    """MiniCPM-V 2.5 and 2.6: ``chat`` that takes ``msgs`` and gives a string."""
    tokenizer = build_tokenizer("<image>", pad="<pad>", bos="<s>", eos="</s>")
    tokenizer.chat_template = _CHAT
    tokenizer.save_pretrained(folder)
    auto_map = {"AutoConfig": "configuration_minicpm.MiniCPMVConfig", "AutoModel": _MINICPMV}
    width = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = {
        "model_type": "minicpmv",
        "vocab_size": len(tokenizer),
        "num_hidden_layers": 2,
        **width,
        **_ids(tokenizer),
    }
    # Its chat asks the language model inside, which knows nothing of generation_config.json.
    config["silent"] = unsaid(tokenizer)
    _write(folder, ["configuration_minicpm", "modeling_minicpmv"], auto_map, config, [])


def plainly_made(folder: Path) -> PreTrainedModel:
    """The model of a built folder, made by its class and nothing else; what a loader's is compared to."""
    from safetensors.torch import load_file

    model = _made(folder)
    model.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
    return model.eval()


def silent(folder: Path) -> list[int]:
    """The tokens that the model of a built folder never says."""
    return json.loads((folder / "generation_config.json").read_text())["suppress_tokens"]


def lora(folder: Path, adapter: Path) -> None:
    """A random LoRA for the model of a built folder, written to ``adapter``."""
    import torch
    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        get_peft_model(plainly_made(folder), config).save_pretrained(adapter)


def betray(folder: Path, witness: Path) -> None:
    """Make every module of the repository write its name into ``witness`` when it is run."""
    for file in folder.glob("*.py"):
        line = f"with open({str(witness)!r}, 'a') as _witness:\n    _witness.write({file.stem!r} + '\\n')\n"
        file.write_text(line + file.read_text())


_COGVLM = "modeling_cogvlm.CogVLMForCausalLM"
_XCOMPOSER2 = "modeling_internlm_xcomposer2.InternLMXComposer2ForCausalLM"
_MINICPMV = "modeling_minicpmv.MiniCPMV"


def _ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    return {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}


def _write(
    folder: Path, modules: list[str], auto_map: dict[str, str], config: dict[str, Any], suppressed: list[int]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for module in [*modules, "decoder"]:
        shutil.copyfile(_CODE / f"{module}.py", folder / f"{module}.py")
    described = {"auto_map": auto_map, "dtype": "float32", "transformers_version": "4.36.0", **config}
    (folder / "config.json").write_text(json.dumps(described, indent=1))
    (folder / "generation_config.json").write_text(json.dumps({"suppress_tokens": suppressed}))
    model = _made(folder, randomly=True)
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _made(folder: Path, randomly: bool = False) -> PreTrainedModel:
    described = json.loads((folder / "config.json").read_text())
    auto_map = described["auto_map"]
    named = next(name for key, name in auto_map.items() if key.startswith("AutoModel"))
    config = get_class_from_dynamic_module(auto_map["AutoConfig"], folder).from_pretrained(folder)
    # Transformers 4 left what config.json says of generation where the code reads it.
    config.max_length = described.get("max_length")
    model_class = get_class_from_dynamic_module(named, folder)
    model = build_model(model_class, config) if randomly else model_class(config)
    del model.config.max_length
    return model
