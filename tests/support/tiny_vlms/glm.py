"""GLM-V: as Qwen-VL positions in three dimensions, but half of each head unrotated, and four norms in a layer."""

from pathlib import Path
from typing import Any

from transformers import (
    Glm4vConfig,
    Glm4vForConditionalGeneration,
    Glm4vImageProcessor,
    Glm4vMoeConfig,
    Glm4vMoeForConditionalGeneration,
    Glm4vProcessor,
    Glm4vVideoProcessor,
    Glm46VConfig,
    Glm46VForConditionalGeneration,
    Glm46VImageProcessor,
    Glm46VProcessor,
    Glm46VVideoProcessor,
    PreTrainedTokenizerFast,
)

from tiny_vlms.common import HEADS, TEXT, WIDTH, build_model, build_tokenizer, save, text_config
from tiny_vlms.templates import chat_template

PATCH = 4
# Of two frames, as both processors count: 16 by 16 to 48 by 48 pixels.
PIXELS = {"shortest_edge": 2 * 16 * 16, "longest_edge": 2 * 48 * 48}

_TEMPLATE = chat_template(
    image="<|begin_of_image|><|image|><|end_of_image|>",
    turn=r"'<|' + role + '|>\n' + body",
    prompt="<|assistant|>\n",
    start="'[gMASK]<sop>'",
)
_TOKENS = {
    "image_token_id": "<|image|>",
    "image_start_token_id": "<|begin_of_image|>",
    "image_end_token_id": "<|end_of_image|>",
    "video_token_id": "<|video|>",
    "video_start_token_id": "<|begin_of_video|>",
    "video_end_token_id": "<|end_of_video|>",
}


def _tokenizer() -> PreTrainedTokenizerFast:
    turns = ["[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>"]
    return build_tokenizer(*turns, *_TOKENS.values(), pad="<|endoftext|>", eos="<|endoftext|>")


def _config(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    rope = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 1, 1], "partial_rotary_factor": 0.5}
    tower = {
        "depth": 2,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "out_hidden_size": WIDTH,
        "num_heads": HEADS,
        "patch_size": PATCH,
        "image_size": 6 * PATCH,
    }
    return {
        "text_config": text_config(
            "glm4v_text", tokenizer, rope_parameters=rope, head_dim=2 * TEXT["head_dim"], attention_bias=True
        ),
        "vision_config": {"model_type": "glm4v_vision", **tower},
        **{key: tokenizer.convert_tokens_to_ids(token) for key, token in _TOKENS.items()},
    }


def _processor() -> Glm4vProcessor:
    return Glm4vProcessor(
        image_processor=Glm4vImageProcessor(patch_size=PATCH, size=PIXELS),
        tokenizer=_tokenizer(),
        video_processor=Glm4vVideoProcessor(patch_size=PATCH, size=PIXELS),
        chat_template=_TEMPLATE,
    )


def glm4v(folder: Path) -> None:
    """GLM-4V (GLM-4.1V)."""
    processor = _processor()
    config = Glm4vConfig(**_config(processor.tokenizer))
    save(folder, build_model(Glm4vForConditionalGeneration, config), processor)


def glm4v_moe(folder: Path) -> None:
    """GLM-4.5V: the processor of GLM-4V; experts beside a shared one, after a first layer without."""
    processor = _processor()
    config = _config(processor.tokenizer)
    experts = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": WIDTH}
    config["text_config"] |= {"model_type": "glm4v_moe_text", **experts}
    config["vision_config"] |= {"model_type": "glm4v_moe_vision"}
    save(folder, build_model(Glm4vMoeForConditionalGeneration, Glm4vMoeConfig(**config)), processor)


def glm46v(folder: Path) -> None:
    """GLM-4.6V: the same parts under a class of its own."""
    processor = Glm46VProcessor(
        image_processor=Glm46VImageProcessor(patch_size=PATCH, size=PIXELS),
        tokenizer=_tokenizer(),
        video_processor=Glm46VVideoProcessor(patch_size=PATCH, size=PIXELS),
        chat_template=_TEMPLATE,
    )
    config = Glm46VConfig(**_config(processor.tokenizer))
    save(folder, build_model(Glm46VForConditionalGeneration, config), processor)


FAMILIES = {"glm4v": glm4v, "glm4v_moe": glm4v_moe, "glm46v": glm46v}
