"""Tiny random guards: of the class of each one's weights, with a chat template of the published variables, and two answers.

A guard of random weights would say nothing in its format. So whole answers are made tokens of its vocabulary, and others are
suppressed: which answer it gives is the model's own doing, and depends on what it is asked and shown.
"""

from collections.abc import Sequence
from pathlib import Path

from tiny_vlms import FAMILIES
from tiny_vlms.common import saying
from tiny_vlms.gemma import gemma3
from transformers import (
    AutoModelForMultimodalLM,
    AutoProcessor,
    ShieldGemma2Config,
    ShieldGemma2ForImageClassification,
    ShieldGemma2Processor,
)

# A conversation in a frame, with categories that a caller may replace, as Llama Guard's template has it.
_LLAMA_GUARD = (
    "{%- if categories is not defined -%}{%- set categories = {'S1': 'Own One.', 'S2': 'Own Two.'} -%}{%- endif -%}"
    "{{- bos_token + START + 'user' + END + '\n\n' -}}"
    "{%- for message in messages -%}{%- for part in message['content'] if part['type'] == 'image' -%}<|image|>"
    "{%- endfor -%}{%- endfor -%}"
    "Task: Check for unsafe content by the categories below.\n"
    "{%- for key in categories %}{{ '\n' + key + ': ' + categories[key] }}{%- endfor -%}"
    "{{- '\n\nUser: ' -}}"
    "{%- for message in messages -%}{%- for part in message['content'] if part['type'] == 'text' -%}{{ part['text'] }}"
    "{%- endfor -%}{%- endfor -%}"
    "{{- EOT + START + 'assistant' + END -}}"
)


def _llama_template(opened: str, closed: str, end: str) -> str:
    return _LLAMA_GUARD.replace("START", f"'{opened}'").replace("END", f"'{closed}'").replace("EOT", f"'{end}'")


def _gemma_template(body: str) -> str:
    return (
        "{{- bos_token + '<start_of_turn>user\n' -}}"
        "{%- for message in messages -%}{%- for part in message['content'] -%}"
        "{%- if part['type'] == 'image' -%}<start_of_image>{%- else -%}"
        f"{body}"
        "{%- endif -%}{%- endfor -%}{%- endfor -%}"
        "{{- '<end_of_turn>\n<start_of_turn>model\n' -}}"
    )


_RULE = _gemma_template("{{- 'Our rule: ' + part['text'] + '\nIs it violated? Yes or No.' -}}")
_NEMOTRON = _gemma_template(
    "{{- part['text'] + '\n' + (custom_policy if custom_policy is defined else 'own taxonomy') -}}"
    "{{- request_categories + enable_thinking | string -}}"
)

# Of each name of the catalogue: the family, the chat template in place of the family's, and its answers, safe first.
GUARDS: dict[str, tuple[str, str, Sequence[str]]] = {
    "llavaguard-7b": (
        "llava_onevision",
        "",
        [
            '{\n    "rating": "Safe",\n    "category": "NA: None applying",\n    "rationale": "A glyph."\n}',
            '{\n    "rating": "Unsafe",\n    "category": "O8: Animal Cruelty",\n    "rationale": "It is safe to say so."\n}',
        ],
    ),
    "llama-guard-3-vision": (
        "mllama",
        _llama_template("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        ["\n\nsafe", "\n\nunsafe\nS1,S2"],
    ),
    "llama-guard-4": (
        "llama4",
        _llama_template("<|header_start|>", "<|header_end|>", "<|eot|>"),
        ["\n\nsafe", "\n\nunsafe\nS9"],
    ),
    "nemotron-safety-3.5": (
        "gemma3",
        _NEMOTRON,
        ["User Safety: safe", "User Safety: unsafe\nSafety Categories: Violence, Threat"],
    ),
    "shieldstral-3b": ("mistral3", "", ["no\n", "yes\n"]),
    "safeguard-vl": ("qwen2_5_vl", "", ["safe", "unsafe"]),
}
SHIELDGEMMA = "shieldgemma-2-4b"
RULES = {"round": "No round shapes.", "blue": "No blue shapes."}


def build_guard(name: str, folder: Path) -> None:
    """The guard of that name of the catalogue, as a checkpoint in ``folder``."""
    if name == SHIELDGEMMA:
        _shieldgemma(folder)
        return
    family, template, answers = GUARDS[name]
    with saying(*answers):
        FAMILIES[family](folder)
    if template:
        processor = AutoProcessor.from_pretrained(folder)
        processor.chat_template = template
        processor.save_pretrained(folder)


def _shieldgemma(folder: Path) -> None:
    """ShieldGemma 2 around the tiny Gemma 3, with two rules of its own."""
    with saying("No\n", "Yes\n"):
        gemma3(folder)
    processor = AutoProcessor.from_pretrained(folder)
    inner = AutoModelForMultimodalLM.from_pretrained(folder)
    no, yes = processor.tokenizer.convert_tokens_to_ids(["No\n", "Yes\n"])
    config = ShieldGemma2Config(
        **{key: value for key, value in inner.config.to_dict().items() if key not in ("model_type", "architectures")},
        yes_token_index=yes,
        no_token_index=no,
    )
    model = ShieldGemma2ForImageClassification(config)
    model.model.load_state_dict(inner.state_dict())
    model.save_pretrained(folder)
    inner.generation_config.save_pretrained(folder)
    ShieldGemma2Processor(
        processor.image_processor,
        processor.tokenizer,
        chat_template=_RULE,
        image_seq_length=processor.image_seq_length,
        policy_definitions=RULES,
    ).save_pretrained(folder)
