"""Families whose decoders mix attention with layers that keep a running state: convolutions, linear attention."""

from pathlib import Path

import torch
from transformers import (
    Lfm2VlConfig,
    Lfm2VlForConditionalGeneration,
    Lfm2VlImageProcessor,
    Lfm2VlProcessor,
    Lfm3VlConfig,
    Lfm3VlForConditionalGeneration,
    Lfm3VlProcessor,
    MiniCPMV4_6Config,
    MiniCPMV4_6ForConditionalGeneration,
    MiniCPMV4_6ImageProcessor,
    MiniCPMV4_6Processor,
    MiniCPMV4_6VideoProcessor,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2VLImageProcessor,
    Qwen3VLVideoProcessor,
)

from tiny_vlms.common import VISION, WIDTH, build_model, build_tokenizer, save, text_config
from tiny_vlms.templates import chatml

PATCH = 8
TILE = 4 * PATCH


def _build(model_class: type[PreTrainedModel], config: PreTrainedConfig) -> PreTrainedModel:
    """A model whose attention is heard above its running states, which with random weights know the last tokens alone.

    These families normalise the queries, which leaves attention almost even over a hundred tokens; larger ones choose.
    The gates of a random short convolution multiply it to many times what attention gives.
    """
    model = build_model(model_class, config)
    with torch.no_grad():
        for name, parameter in model.get_decoder().named_parameters():
            if name.endswith(("self_attn.q_norm.weight", "self_attn.q_layernorm.weight")):
                parameter.fill_(4.0)
            elif name.endswith(".conv.out_proj.weight"):
                parameter.mul_(0.1)
    return model


def lfm2_vl(folder: Path) -> None:
    """LFM2-VL: short convolutions between attention; named tiles of a large image and a thumbnail, patches packed in rows."""
    tiles = [f"<|img_row_{row}_col_{column}|>" for row in range(1, 5) for column in range(1, 5)]
    tokenizer = build_tokenizer(
        "<|im_start|>",
        *tiles,
        bos="<|startoftext|>",
        eos="<|im_end|>",
        pad="<|pad|>",
        named={
            "image_token": "<image>",
            "image_start_token": "<|image_start|>",
            "image_end_token": "<|image_end|>",
            "image_thumbnail_token": "<|img_thumbnail|>",
        },
    )
    image_processor = Lfm2VlImageProcessor(
        downsample_factor=2,
        min_tiles=2,
        max_tiles=4,
        min_image_tokens=1,
        max_image_tokens=4,
        encoder_patch_size=PATCH,
        tile_size=TILE,
        max_pixels_tolerance=1.0,
    )
    layers = {"num_hidden_layers": 4, "layer_types": ["conv", "full_attention"] * 2, "block_multiple_of": 8}
    config = Lfm2VlConfig(
        text_config=text_config("lfm2", tokenizer, **layers),
        vision_config={
            **VISION,
            "model_type": "siglip2_vision_model",
            "patch_size": PATCH,
            "num_patches": (TILE // PATCH) ** 2,
            "vision_use_head": False,
        },
        downsample_factor=2,
        projector_hidden_size=WIDTH,
        image_token_id=tokenizer.image_token_id,
        tie_word_embeddings=False,
    )
    processor = Lfm2VlProcessor(image_processor, tokenizer, chat_template=chatml("<image>", start="bos_token"))
    save(folder, _build(Lfm2VlForConditionalGeneration, config), processor)


def lfm3_vl(folder: Path) -> None:
    """LFM3-VL: convolutions, attention in a window of 16 tokens and attention to everything; images of any shape."""
    tokenizer = build_tokenizer(
        "<|im_start|>",
        bos="<|startoftext|>",
        eos="<|im_end|>",
        pad="<|pad|>",
        named={
            "image_token": "<|image_pad|>",
            "video_token": "<|video_pad|>",
            "vision_start_token": "<|vision_start|>",
            "vision_end_token": "<|vision_end|>",
        },
    )
    processor = Lfm3VlProcessor(
        Qwen2VLImageProcessor(size={"shortest_edge": TILE**2, "longest_edge": 4 * TILE**2}, patch_size=PATCH),
        tokenizer,
        Qwen3VLVideoProcessor(),
        chat_template=chatml("<|vision_start|><|image_pad|><|vision_end|>", start="bos_token"),
    )
    layers = ["conv", "sliding_attention", "conv", "full_attention"]
    config = Lfm3VlConfig(
        text_config=text_config("lfm3", tokenizer, num_hidden_layers=4, layer_types=layers, sliding_window=16),
        vision_config={
            **VISION,
            "num_hidden_layers": 3,
            "layer_types": ["conv", "conv", "full_attention"],
            "num_key_value_heads": 2,
            "patch_size": PATCH,
        },
        projector_hidden_size=WIDTH,
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
        vision_start_token_id=tokenizer.vision_start_token_id,
        vision_end_token_id=tokenizer.vision_end_token_id,
        tie_word_embeddings=False,
    )
    save(folder, _build(Lfm3VlForConditionalGeneration, config), processor)


def minicpmv4_6(folder: Path) -> None:
    """MiniCPM-V 4.6: numbered images in slices before a Qwen3.5, most layers of which are linear attention."""
    tokenizer = build_tokenizer(
        "<|im_start|>",
        eos="<|im_end|>",
        pad="<|endoftext|>",
        named={
            "image_token": "<|image_pad|>",
            "video_token": "<|video_pad|>",
            "image_start_token": "<image>",
            "image_end_token": "</image>",
            "slice_start_token": "<slice>",
            "slice_end_token": "</slice>",
            "image_id_start_token": "<image_id>",
            "image_id_end_token": "</image_id>",
        },
    )
    processor = MiniCPMV4_6Processor(
        MiniCPMV4_6ImageProcessor(max_slice_nums=4, scale_resolution=TILE, patch_size=PATCH),
        MiniCPMV4_6VideoProcessor(),
        tokenizer,
        chat_template=chatml("<|image_pad|>"),
    )
    heads = {
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    }
    layers = ["linear_attention", "full_attention"] * 2
    config = MiniCPMV4_6Config(
        text_config=text_config("qwen3_5_text", tokenizer, num_hidden_layers=4, layer_types=layers, **heads),
        vision_config={**VISION, "image_size": TILE, "patch_size": PATCH},
        insert_layer_id=0,
        image_size=TILE,
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
    )
    save(folder, _build(MiniCPMV4_6ForConditionalGeneration, config), processor)


FAMILIES = {"lfm2_vl": lfm2_vl, "lfm3_vl": lfm3_vl, "minicpmv4_6": minicpmv4_6}
