"""LLaVA and its kin: a CLIP or SigLIP tower, a projector, a language model; tiles of several sizes from LLaVA-NeXT on."""

from pathlib import Path
from typing import Any

from transformers import (
    CLIPImageProcessor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessor,
    LlavaNextProcessor,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    LlavaProcessor,
    VipLlavaConfig,
    VipLlavaForConditionalGeneration,
)

from tiny_vlms.common import VISION, build_model, build_tokenizer, save, text_config
from tiny_vlms.templates import chat_template, chatml

SIZE = 28
PATCH = 7
PINPOINTS = [[28, 56], [56, 28], [56, 56], [84, 28], [28, 84]]

_IMAGE = "<image>\n"
_VICUNA = chat_template(_IMAGE, "role.upper() + ': ' + body + ' '", "ASSISTANT:")
_HASHES = chat_template(_IMAGE, "'###' + ('Human' if role == 'user' else 'Assistant') + ': ' + body", "###Assistant:")
_MISTRAL = chat_template(_IMAGE, "'[INST] ' + body + ' [/INST]' if role == 'user' else ' ' + body + '</s>'", "")


def _llama_tokenizer() -> Any:
    return build_tokenizer("<unk>", bos="<s>", eos="</s>", pad="<pad>", adds_bos=True, named={"image_token": "<image>"})


def _clip_tower() -> dict[str, Any]:
    return {"model_type": "clip_vision_model", "image_size": SIZE, "patch_size": PATCH, "projection_dim": 32, **VISION}


def _clip_processor(tokenizer: Any, template: str) -> LlavaProcessor:
    return LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    )


def llava(folder: Path) -> None:
    """LLaVA-1.5: the tower's last layer but one, without its class token; a Llama with ``<s>`` before every text."""
    tokenizer = _llama_tokenizer()
    config = LlavaConfig(
        vision_config=_clip_tower(),
        text_config=text_config("llama", tokenizer),
        image_token_index=tokenizer.image_token_id,
        image_seq_length=(SIZE // PATCH) ** 2,
    )
    save(folder, build_model(LlavaForConditionalGeneration, config), _clip_processor(tokenizer, _VICUNA))


def vipllava(folder: Path) -> None:
    """ViP-LLaVA: features of several layers of the tower side by side."""
    tokenizer = _llama_tokenizer()
    config = VipLlavaConfig(
        vision_config=_clip_tower(),
        text_config=text_config("llama", tokenizer),
        image_token_index=tokenizer.image_token_id,
        image_seq_length=(SIZE // PATCH) ** 2,
        vision_feature_layer=[-2, -1, 0],
    )
    save(folder, build_model(VipLlavaForConditionalGeneration, config), _clip_processor(tokenizer, _HASHES))


def llava_next(folder: Path) -> None:
    """LLaVA-NeXT: an image is also shown in tiles, as many as its shape asks for, so that prompts differ in length."""
    tokenizer = _llama_tokenizer()
    processor = LlavaNextProcessor(
        image_processor=LlavaNextImageProcessor(
            size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}, image_grid_pinpoints=PINPOINTS
        ),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_MISTRAL,
    )
    config = LlavaNextConfig(
        vision_config=_clip_tower(),
        text_config=text_config("mistral", tokenizer, sliding_window=None),
        image_token_index=tokenizer.image_token_id,
        image_seq_length=(SIZE // PATCH) ** 2,
        image_grid_pinpoints=PINPOINTS,
    )
    save(folder, build_model(LlavaNextForConditionalGeneration, config), processor)


def llava_onevision(folder: Path) -> None:
    """LLaVA-OneVision: tiles of a SigLIP tower before a Qwen2, which has no token that begins a text."""
    tokenizer = build_tokenizer(
        "<|im_start|>",
        pad="<|endoftext|>",
        eos="<|im_end|>",
        named={"image_token": "<image>", "video_token": "<video>"},
    )
    processor = LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(
            size={"height": SIZE, "width": SIZE}, image_grid_pinpoints=PINPOINTS
        ),
        tokenizer=tokenizer,
        video_processor=LlavaOnevisionVideoProcessor(size={"height": SIZE, "width": SIZE}),
        num_image_tokens=(SIZE // PATCH) ** 2,
        vision_feature_select_strategy="full",
        chat_template=chatml(_IMAGE),
    )
    tower = {"model_type": "siglip_vision_model", "image_size": SIZE, "patch_size": PATCH, "vision_use_head": False}
    config = LlavaOnevisionConfig(
        vision_config=tower | VISION,
        text_config=text_config("qwen2", tokenizer),
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.video_token_id,
        image_grid_pinpoints=PINPOINTS,
    )
    save(folder, build_model(LlavaOnevisionForConditionalGeneration, config), processor)


FAMILIES = {
    "llava": llava,
    "vipllava": vipllava,
    "llava_next": llava_next,
    "llava_onevision": llava_onevision,
}
