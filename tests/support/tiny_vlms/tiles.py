"""Families that show an image in square tiles: Cohere's Aya Vision and Command A Vision, Ovis2; DeepSeek-VL in one."""

from pathlib import Path
from typing import Any

from transformers import (
    AyaVisionConfig,
    AyaVisionForConditionalGeneration,
    AyaVisionProcessor,
    Cohere2VisionConfig,
    Cohere2VisionForConditionalGeneration,
    Cohere2VisionImageProcessor,
    Cohere2VisionProcessor,
    DeepseekVLConfig,
    DeepseekVLForConditionalGeneration,
    DeepseekVLImageProcessor,
    DeepseekVLProcessor,
    GotOcr2ImageProcessor,
    Ovis2Config,
    Ovis2ForConditionalGeneration,
    Ovis2ImageProcessor,
    Ovis2Processor,
    PreTrainedTokenizerFast,
)

from tiny_vlms.common import VISION, WIDTH, build_model, build_tokenizer, save, text_config
from tiny_vlms.templates import chat_template, chatml

TILE = 28
TILES = 4
PATCH = 7
IMAGE_TOKENS = 4  # of a tile: sixteen patches, four of which become one token

_SIZE = {"height": TILE, "width": TILE}
_SIGLIP: dict[str, Any] = {
    **VISION,
    "model_type": "siglip_vision_model",
    "image_size": TILE,
    "patch_size": PATCH,
    "vision_use_head": False,
}


def _cohere_template(image: str) -> str:
    opened, user, answer = "<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>"
    turn = f"'{opened}' + ('{answer}' if role == 'assistant' else '{user}') + body + '<|END_OF_TURN_TOKEN|>'"
    return chat_template(image, turn, opened + answer, start="bos_token")


def _cohere_tokenizer(*special: str, **named: str) -> PreTrainedTokenizerFast:
    turns = ("<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>")
    end = "<|END_OF_TURN_TOKEN|>"
    return build_tokenizer(*turns, *special, bos="<BOS_TOKEN>", eos=end, pad="<PAD>", named=named)


def _cohere_text(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    layers = {"num_hidden_layers": 4, "layer_types": ["sliding_attention", "full_attention"] * 2, "sliding_window": 16}
    return text_config("cohere2", tokenizer, logit_scale=1.0, **layers)


def aya_vision(folder: Path) -> None:
    """Aya Vision: named tiles, then the image as a whole; layers with a window of 16 tokens and without."""
    image = ("<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>", "TILE", "TILE_GLOBAL")
    tokenizer = _cohere_tokenizer("<image>", *image)
    processor = AyaVisionProcessor(
        GotOcr2ImageProcessor(size=_SIZE, max_patches=TILES, crop_to_patches=True),
        tokenizer,
        patch_size=PATCH,
        img_size=TILE,
        downsample_factor=2,
        chat_template=_cohere_template("<image>"),
    )
    config = AyaVisionConfig(
        text_config=_cohere_text(tokenizer),
        vision_config=_SIGLIP,
        downsample_factor=2,
        image_token_index=tokenizer.convert_tokens_to_ids("<|IMG_PATCH|>"),
        tie_word_embeddings=False,
    )
    save(folder, build_model(AyaVisionForConditionalGeneration, config), processor)


def cohere2_vision(folder: Path) -> None:
    """Command A Vision: as Aya Vision, with a line break after each tile in place of its name."""
    tokenizer = _cohere_tokenizer(
        boi_token="<|START_OF_IMG|>",
        eoi_token="<|END_OF_IMG|>",
        image_token="<|IMG_PATCH|>",
        img_line_break_token="<|IMG_LINE_BREAK|>",
    )
    # What its processor calls the patch size is the side of a tile in tokens.
    processor = Cohere2VisionProcessor(
        Cohere2VisionImageProcessor(size=_SIZE, max_patches=TILES, crop_to_patches=True, patch_size=2),
        tokenizer,
        chat_template=_cohere_template("<|IMG_PATCH|>"),
    )
    config = Cohere2VisionConfig(
        text_config=_cohere_text(tokenizer),
        vision_config=_SIGLIP,
        downsample_factor=2,
        alignment_intermediate_size=2 * WIDTH,
        image_token_id=tokenizer.image_token_id,
        tie_word_embeddings=False,
    )
    save(folder, build_model(Cohere2VisionForConditionalGeneration, config), processor)


def ovis2(folder: Path) -> None:
    """Ovis2: a patch is a mixture of visual words; tokens for rows and columns are embedded by the visual table too."""
    marks = ["<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>"]
    tokenizer = build_tokenizer("<|im_start|>", "<image>", "<IMG_ATOM>", *marks, eos="<|im_end|>", pad="<|endoftext|>")
    processor = Ovis2Processor(
        Ovis2ImageProcessor(size=_SIZE, max_patches=TILES, crop_to_patches=True),
        tokenizer,
        image_seq_length=IMAGE_TOKENS,
        chat_template=chatml("<image>\n"),
    )
    vision = {"image_size": TILE, "patch_size": PATCH, "hidden_stride": 2, "vocab_size": 32}
    config = Ovis2Config(
        text_config=text_config("qwen2", tokenizer),
        vision_config={**VISION, **vision, "num_visual_indicator_tokens": len(marks)},
        hidden_size=WIDTH,
        vocab_size=len(tokenizer),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_ATOM>"),
        visual_indicator_token_ids=tokenizer.convert_tokens_to_ids(marks),
        tie_word_embeddings=False,
    )
    save(folder, build_model(Ovis2ForConditionalGeneration, config), processor)


def deepseek_vl(folder: Path) -> None:
    """DeepSeek-VL: a SigLIP tower before a Llama; images are padded to a square."""
    named = {"image_token": "<image_placeholder>"}
    bos, eos = "<|begin_of_sentence|>", "<|end_of_sentence|>"
    tokenizer = build_tokenizer(bos=bos, eos=eos, pad="<|pad|>", named=named)
    turn = r"'User: ' + body + '\n\n' if role == 'user' else 'Assistant: ' + body + eos_token"
    processor = DeepseekVLProcessor(
        DeepseekVLImageProcessor(size=_SIZE),
        tokenizer,
        chat_template=chat_template("<image_placeholder>", turn, "Assistant:", start="bos_token"),
        num_image_tokens=(TILE // PATCH) ** 2,
    )
    config = DeepseekVLConfig(
        text_config=text_config("llama", tokenizer),
        vision_config=_SIGLIP,
        image_token_id=tokenizer.image_token_id,
        tie_word_embeddings=False,
    )
    save(folder, build_model(DeepseekVLForConditionalGeneration, config), processor)


FAMILIES = {"aya_vision": aya_vision, "cohere2_vision": cohere2_vision, "ovis2": ovis2, "deepseek_vl": deepseek_vl}
