"""Google's families: Gemma 3, 3n and 4, in which layers with a window and layers without take turns, and PaliGemma."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3ImageProcessor,
    Gemma3nAudioFeatureExtractor,
    Gemma3nConfig,
    Gemma3nForConditionalGeneration,
    Gemma3nProcessor,
    Gemma3Processor,
    Gemma4AudioFeatureExtractor,
    Gemma4Config,
    Gemma4ForConditionalGeneration,
    Gemma4ImageProcessor,
    Gemma4Processor,
    Gemma4VideoProcessor,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    SiglipImageProcessor,
)

from tiny_vlms.common import VISION, WIDTH, build_model, build_tokenizer, save, text_config
from tiny_vlms.templates import chat_template

PATCH = 14
IMAGE_TOKENS = 4
WINDOW = 16  # tokens, fewer than any question has

_TURN = r"'{open}' + ('model' if role == 'assistant' else role) + '\n' + body + '{close}\n'"
_AUDIO = {
    "audio_token": "<audio_soft_token>",
    "boa_token": "<start_of_audio>",
    "eoa_token": "<end_of_audio>",
}
_IMAGE = {
    "boi_token": "<start_of_image>",
    "eoi_token": "<end_of_image>",
    "image_token": "<image_soft_token>",
}


def _template(image: str, opened: str = "<start_of_turn>", closed: str = "<end_of_turn>") -> str:
    turn = _TURN.format(open=opened, close=closed)
    return chat_template(image, turn, f"{opened}model\n", start="bos_token")


def _tokenizer(named: Mapping[str, str], *special: str) -> PreTrainedTokenizerFast:
    return build_tokenizer("<unk>", *special, bos="<bos>", eos="<eos>", pad="<pad>", named=named)


def _token_ids(tokenizer: PreTrainedTokenizerFast, *names: str) -> dict[str, int]:
    return {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in names}


def _build(model_class: type[PreTrainedModel], config: PreTrainedConfig) -> PreTrainedModel:
    """A model whose embeddings have the deviation 1 after, not before, Gemma multiplies them by the width's root."""
    model = build_model(model_class, config)
    with torch.no_grad():
        model.get_input_embeddings().weight.div_(math.sqrt(WIDTH))
    return model


def _layers(pairs: int) -> dict[str, Any]:
    return {
        "num_hidden_layers": 2 * pairs,
        "layer_types": ["sliding_attention", "full_attention"] * pairs,
        "sliding_window": WINDOW,
    }


def gemma3(folder: Path) -> None:
    """Gemma 3: an image's tokens attend to one another in both directions, told apart by ``token_type_ids``."""
    size = 4 * PATCH
    tokenizer = _tokenizer(_IMAGE, "<start_of_turn>", "<end_of_turn>")
    processor = Gemma3Processor(
        Gemma3ImageProcessor(size={"height": size, "width": size}),
        tokenizer,
        chat_template=_template("<start_of_image>"),
        image_seq_length=IMAGE_TOKENS,
    )
    config = Gemma3Config(
        text_config=text_config("gemma3_text", tokenizer, query_pre_attn_scalar=8, **_layers(2)),
        vision_config={**VISION, "image_size": size, "patch_size": PATCH, "vision_use_head": False},
        mm_tokens_per_image=IMAGE_TOKENS,
        tie_word_embeddings=False,
        **_token_ids(tokenizer, "image", "boi", "eoi"),
    )
    save(folder, _build(Gemma3ForConditionalGeneration, config), processor)


def gemma3n(folder: Path) -> None:
    """Gemma 3n: embeddings for every layer, and last layers that use the keys and values of earlier ones.

    Its MobileNet of 300 million weights is replaced by the smallest of timm's networks that gives a map of features.
    """
    size = 64  # pixels; the network reduces each side to a 32nd
    tokenizer = _tokenizer(_IMAGE | _AUDIO, "<start_of_turn>", "<end_of_turn>")
    processor = Gemma3nProcessor(
        Gemma3nAudioFeatureExtractor(),
        SiglipImageProcessor(size={"height": size, "width": size}),
        tokenizer,
        chat_template=_template("<image_soft_token>"),
        image_seq_length=IMAGE_TOKENS,
    )
    words = len(tokenizer)
    text = text_config("gemma3n_text", tokenizer, vocab_size=words + 2, vocab_size_per_layer_input=words, **_layers(3))
    text |= {"num_kv_shared_layers": 2, "hidden_size_per_layer_input": 8, "laurel_rank": 4, "altup_num_inputs": 2}
    config = Gemma3nConfig(
        text_config=text,
        vision_config={
            "architecture": "test_efficientnet",
            "hidden_size": 256,
            "vocab_size": 1,
            "vocab_offset": words,
        },
        audio_config={
            "hidden_size": 16,
            "vocab_size": 1,
            "vocab_offset": words + 1,
            "conf_num_attention_heads": 2,
            "conf_num_hidden_layers": 1,
            "sscp_conv_channel_size": (8, 4),
        },
        vision_soft_tokens_per_image=IMAGE_TOKENS,
        tie_word_embeddings=False,
        **_token_ids(tokenizer, "image", "boi", "eoi", "audio", "boa", "eoa"),
    )
    save(folder, _build(Gemma3nForConditionalGeneration, config), processor)


def gemma4(folder: Path) -> None:
    """Gemma 4, a small one: as 3n, wider heads in the layers without a window, images of any shape as 70 tokens or fewer."""
    patch, pooled = 4, 2
    tokens = {"image_token": "<|image|>", "boi_token": "<|image>", "eoi_token": "<image|>"}
    tokens |= {"audio_token": "<|audio|>", "boa_token": "<|audio>", "eoa_token": "<audio|>"}
    tokenizer = _tokenizer(tokens, "<|turn>", "<turn|>", "<|video|>")
    processor = Gemma4Processor(
        Gemma4AudioFeatureExtractor(),
        Gemma4ImageProcessor(patch_size=patch, max_soft_tokens=70, pooling_kernel_size=pooled),
        tokenizer,
        Gemma4VideoProcessor(),
        chat_template=_template("<|image|>", "<|turn>", "<turn|>"),
    )
    text = text_config("gemma4_text", tokenizer, global_head_dim=16, use_bidirectional_attention="vision", **_layers(3))
    text |= {
        "num_kv_shared_layers": 2,
        "vocab_size_per_layer_input": len(tokenizer),
        "hidden_size_per_layer_input": 8,
    }
    vision = {"num_key_value_heads": 4, "head_dim": 8, "patch_size": patch, "pooling_kernel_size": pooled}
    config = Gemma4Config(
        text_config=text,
        vision_config={**VISION, **vision, "position_embedding_size": 64},
        eoa_token_index=tokenizer.eoa_token_id,
        video_token_id=tokenizer.convert_tokens_to_ids("<|video|>"),
        tie_word_embeddings=False,
        **_token_ids(tokenizer, "image", "boi", "eoi", "audio", "boa"),
    )
    save(folder, _build(Gemma4ForConditionalGeneration, config), processor)


def paligemma(folder: Path) -> None:
    """PaliGemma: the whole prompt attends to itself in both directions; it takes no prompt without an image.

    The processor has no chat template; it adds 1152 tokens of its own, for places and shapes.
    """
    size = 2 * PATCH
    tokenizer = _tokenizer({"image_token": "<image>"})
    image_processor = SiglipImageProcessor(size={"height": size, "width": size}, image_seq_length=IMAGE_TOKENS)
    processor = PaliGemmaProcessor(image_processor, tokenizer)
    config = PaliGemmaConfig(
        text_config=text_config("gemma", tokenizer),
        vision_config={**VISION, "image_size": size, "patch_size": PATCH, "vision_use_head": False},
        projection_dim=WIDTH,
        hidden_size=WIDTH,
        vocab_size=len(tokenizer),
        image_token_index=tokenizer.image_token_id,
        tie_word_embeddings=False,
    )
    save(folder, _build(PaliGemmaForConditionalGeneration, config), processor)


PROMPTS = {"paligemma": "paligemma"}
IMAGE_ONLY = {"paligemma"}
FAMILIES = {"gemma3": gemma3, "gemma3n": gemma3n, "gemma4": gemma4, "paligemma": paligemma}
