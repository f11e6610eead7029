"""Families that take images of any shape: Pixtral, Mistral Small 3.1, Molmo2, Kimi K2.5."""

from pathlib import Path
from typing import Any

from transformers import (
    Kimi_K25Config,
    Kimi_K25ForConditionalGeneration,
    Kimi_K25ImageProcessor,
    Kimi_K25Processor,
    Kimi_K25VideoProcessor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    Molmo2Config,
    Molmo2ForConditionalGeneration,
    Molmo2ImageProcessor,
    Molmo2Processor,
    Molmo2VideoProcessor,
    PixtralImageProcessor,
    PixtralProcessor,
)

from tiny_vlms.common import VISION, WIDTH, build_model, build_tokenizer, save, text_config
from tiny_vlms.templates import chat_template, chatml

TILE = 28
TILES = 4
PATCH = 7

_SIZE = {"height": TILE, "width": TILE}


_PIXTRAL: dict[str, Any] = {**VISION, "model_type": "pixtral", "image_size": 2 * TILE, "patch_size": PATCH}


def _pixtral_processor(merge: int) -> PixtralProcessor:
    special = ("[INST]", "[/INST]", "[IMG]", "[IMG_BREAK]", "[IMG_END]")
    turn = "'[INST]' + body + '[/INST]' if role == 'user' else body + eos_token"
    return PixtralProcessor(
        PixtralImageProcessor(size={"longest_edge": 2 * TILE}, patch_size=PATCH),
        build_tokenizer(*special, bos="<s>", eos="</s>", pad="<pad>"),
        patch_size=PATCH,
        spatial_merge_size=merge,
        chat_template=chat_template("[IMG]", turn, "", start="bos_token"),
    )


def pixtral(folder: Path) -> None:
    """Pixtral: LLaVA's class with a tower and a processor for images of any shape; a token ends each row of patches."""
    processor = _pixtral_processor(merge=1)
    config = LlavaConfig(
        text_config=text_config("mistral", processor.tokenizer, sliding_window=None),
        vision_config=_PIXTRAL,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_token_index=processor.tokenizer.convert_tokens_to_ids("[IMG]"),
        tie_word_embeddings=False,
    )
    save(folder, build_model(LlavaForConditionalGeneration, config), processor)


def mistral3(folder: Path) -> None:
    """Mistral Small 3.1: as Pixtral, with four patches merged to a token."""
    processor = _pixtral_processor(merge=2)
    config = Mistral3Config(
        text_config=text_config("mistral", processor.tokenizer, sliding_window=None),
        vision_config=_PIXTRAL,
        image_token_index=processor.tokenizer.convert_tokens_to_ids("[IMG]"),
        spatial_merge_size=2,
        tie_word_embeddings=False,
    )
    save(folder, build_model(Mistral3ForConditionalGeneration, config), processor)


def molmo2(folder: Path) -> None:
    """Molmo2: patches of a small and a large view pooled by attention; image tokens attend in both directions.

    Without a token that begins a text its processor puts the one that ends an answer before every prompt.
    """
    image = ["<im_start>", "<im_end>", "<im_patch>", "<im_col>", "<low_res_im_start>", "<im_low>"]
    image += ["<frame_start>", "<frame_end>"]
    marks = ("<|im_start|>", "<|image|>", "<|video|>")
    tokenizer = build_tokenizer(*marks, *image, eos="<|im_end|>", pad="<|endoftext|>")
    processor = Molmo2Processor(
        Molmo2ImageProcessor(
            size=_SIZE, max_crops=TILES, overlap_margins=[0, 0], patch_size=PATCH, pooling_size=[2, 2]
        ),
        Molmo2VideoProcessor(),
        tokenizer,
        chat_template=chatml("<|image|>"),
    )
    heads = {"num_key_value_heads": 4, "head_dim": WIDTH // 4}
    extra = len(image)  # the image's tokens, added last, have a table of their own
    adapter = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_attention_heads": 4, **heads}
    config = Molmo2Config(
        text_config=text_config("molmo2_text", tokenizer, vocab_size=len(tokenizer) - extra)
        | {"additional_vocab_size": extra},
        vision_config={**VISION, **heads, "image_size": [TILE, TILE], "patch_size": PATCH},
        adapter_config={**adapter, "vision_feature_layer": [1, 0], "text_hidden_size": WIDTH},
        image_start_token_id=tokenizer.convert_tokens_to_ids("<im_start>"),
        image_end_token_id=tokenizer.convert_tokens_to_ids("<im_end>"),
        image_patch_id=tokenizer.convert_tokens_to_ids("<im_patch>"),
        low_res_image_start_token_id=tokenizer.convert_tokens_to_ids("<low_res_im_start>"),
        frame_start_token_id=tokenizer.convert_tokens_to_ids("<frame_start>"),
        frame_end_token_id=tokenizer.convert_tokens_to_ids("<frame_end>"),
    )
    save(folder, build_model(Molmo2ForConditionalGeneration, config), processor)


def kimi_k25(folder: Path) -> None:
    """Kimi K2.5: images of any shape before DeepSeek-V3's latent attention and mixture of experts."""
    roles = ("<|im_user|>", "<|im_assistant|>", "<|im_system|>", "<|im_middle|>")
    media = ["<|media_begin|>", "<|media_content|>", "<|media_pad|>", "<|media_end|>"]
    video = "<|kimi_k25_video_placeholder|>"
    tokenizer = build_tokenizer(*roles, *media, video, bos="[BOS]", eos="<|im_end|>", pad="[PAD]")
    processor = Kimi_K25Processor(
        Kimi_K25ImageProcessor(patch_size=PATCH, merge_size=2, max_patches=64),
        tokenizer,
        Kimi_K25VideoProcessor(),
        chat_template=chat_template(
            "<|media_begin|>image<|media_content|><|media_pad|><|media_end|>",
            "'<|im_' + role + '|>' + role + '<|im_middle|>' + body + '<|im_end|>'",
            "<|im_assistant|>assistant<|im_middle|>",
        ),
    )
    latent = {"kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8}
    experts = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "first_k_dense_replace": 1}
    text = text_config("deepseek_v3", tokenizer, num_key_value_heads=4, n_group=1, topk_group=1, num_mtp_layers=0)
    config = Kimi_K25Config(
        text_config=text | latent | experts,
        vision_config={**VISION, "patch_size": PATCH, "pos_emb_height": 8, "pos_emb_width": 8},
        projection_hidden_size=WIDTH,
        image_token_id=tokenizer.convert_tokens_to_ids("<|media_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids(video),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|media_begin|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|media_end|>"),
        tie_word_embeddings=False,
    )
    save(folder, build_model(Kimi_K25ForConditionalGeneration, config), processor)


FAMILIES = {"llava-pixtral": pixtral, "mistral3": mistral3, "molmo2": molmo2, "kimi_k25": kimi_k25}
