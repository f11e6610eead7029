"""Qwen-VL and its kin: images of any shape, and positions in three dimensions (time, height, width) for their tokens."""

from pathlib import Path
from typing import Any

from transformers import (
    PreTrainedTokenizerFast,
    ProcessorMixin,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    Qwen3_5Config,
    Qwen3_5ForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLMoeConfig,
    Qwen3VLMoeForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from tiny_vlms.common import HEADS, TEXT, WIDTH, build_model, build_tokenizer, save, text_config
from tiny_vlms.templates import chatml

PATCH = 4
PIXELS = {"shortest_edge": 16 * 16, "longest_edge": 48 * 48}  # areas, for all their names
_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
_TEMPLATE = chatml(_IMAGE)
_PROMPTED = chatml(_IMAGE, start=r"'<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n'")


def _tokenizer() -> PreTrainedTokenizerFast:
    special = ["<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    return build_tokenizer(*special, pad="<|endoftext|>", eos="<|im_end|>")


def _parts(processor_class: type[ProcessorMixin], video_class: Any, template: str) -> ProcessorMixin:
    shared = {"patch_size": PATCH, "size": PIXELS}
    return processor_class(
        image_processor=Qwen2VLImageProcessor(**shared),
        tokenizer=_tokenizer(),
        video_processor=video_class(**shared),
        chat_template=template,
    )


def _tokens(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    names = {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }
    return {key: tokenizer.convert_tokens_to_ids(token) for key, token in names.items()}


def _rope(**more: Any) -> dict[str, Any]:
    """Rotary positions whose four frequencies are shared among time, height and width."""
    return {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 1, 1], **more}


def qwen2_vl(folder: Path) -> None:
    """Qwen2-VL, with its default system prompt."""
    processor = _parts(Qwen2VLProcessor, Qwen2VLVideoProcessor, _PROMPTED)
    config = Qwen2VLConfig(
        text_config=text_config("qwen2_vl_text", processor.tokenizer, rope_parameters=_rope()),
        vision_config={"depth": 2, "embed_dim": WIDTH, "hidden_size": WIDTH, "num_heads": HEADS, "patch_size": PATCH},
        **_tokens(processor.tokenizer),
    )
    save(folder, build_model(Qwen2VLForConditionalGeneration, config), processor)


def qwen2_5_vl(folder: Path) -> None:
    """Qwen2.5-VL: the tower's first layer attends within windows of two by two image tokens, its second everywhere."""
    processor = _parts(Qwen2_5_VLProcessor, Qwen2VLVideoProcessor, _PROMPTED)
    config = Qwen2_5_VLConfig(
        text_config=text_config("qwen2_5_vl_text", processor.tokenizer, rope_parameters=_rope()),
        vision_config={
            "depth": 2,
            "hidden_size": WIDTH,
            "intermediate_size": 2 * WIDTH,
            "out_hidden_size": WIDTH,
            "num_heads": HEADS,
            "patch_size": PATCH,
            "window_size": 4 * PATCH,
            "fullatt_block_indexes": [1],
        },
        **_tokens(processor.tokenizer),
    )
    save(folder, build_model(Qwen2_5_VLForConditionalGeneration, config), processor)


def _tower(**more: Any) -> dict[str, Any]:
    """The vision tower since Qwen3: learned positions on a grid of six by six, bent to the image's shape."""
    return {
        "depth": 2,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "out_hidden_size": WIDTH,
        "num_heads": HEADS,
        "patch_size": PATCH,
        "num_position_embeddings": 36,
        **more,
    }


def qwen3_vl(folder: Path) -> None:
    """Qwen3-VL: features of the tower's first layer are added again inside the language model (deepstack)."""
    processor = _parts(Qwen3VLProcessor, Qwen3VLVideoProcessor, _TEMPLATE)
    config = Qwen3VLConfig(
        text_config=text_config("qwen3_vl_text", processor.tokenizer, rope_parameters=_rope(mrope_interleaved=True)),
        vision_config=_tower(deepstack_visual_indexes=[0]),
        **_tokens(processor.tokenizer),
    )
    save(folder, build_model(Qwen3VLForConditionalGeneration, config), processor)


def qwen3_vl_moe(folder: Path) -> None:
    """Qwen3-VL with four experts, two for each token."""
    processor = _parts(Qwen3VLProcessor, Qwen3VLVideoProcessor, _TEMPLATE)
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": WIDTH}
    config = Qwen3VLMoeConfig(
        text_config=text_config(
            "qwen3_vl_moe_text", processor.tokenizer, rope_parameters=_rope(mrope_interleaved=True), **experts
        ),
        vision_config=_tower(deepstack_visual_indexes=[0]),
        **_tokens(processor.tokenizer),
    )
    save(folder, build_model(Qwen3VLMoeForConditionalGeneration, config), processor)


def qwen3_5(folder: Path) -> None:
    """Qwen3.5: linear attention, a recurrent state behind a convolution, in the first layer, full attention in the second."""
    processor = _parts(Qwen3VLProcessor, Qwen3VLVideoProcessor, _TEMPLATE)
    head = 2 * TEXT["head_dim"]
    config = Qwen3_5Config(
        text_config=text_config(
            "qwen3_5_text",
            processor.tokenizer,
            head_dim=head,
            rope_parameters=_rope(mrope_interleaved=True, partial_rotary_factor=0.5),
            layer_types=["linear_attention", "full_attention"],
            linear_key_head_dim=head,
            linear_value_head_dim=head,
            linear_num_key_heads=2,
            linear_num_value_heads=4,
        ),
        vision_config=_tower(),
        **_tokens(processor.tokenizer),
    )
    model = build_model(Qwen3_5ForConditionalGeneration, config)
    # As initialised, the recurrent state is forgotten within a token or two; trained ones last.
    model.model.language_model.layers[0].linear_attn.A_log.data.fill_(-4.0)
    save(folder, model, processor)


FAMILIES = {
    "qwen2_vl": qwen2_vl,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen3_vl": qwen3_vl,
    "qwen3_vl_moe": qwen3_vl_moe,
    "qwen3_5": qwen3_5,
}
