"""Phi-4-multimodal: named among the causal language models, with images in crops and sound beside them."""

from pathlib import Path

from transformers import (
    Phi4MultimodalConfig,
    Phi4MultimodalFeatureExtractor,
    Phi4MultimodalForCausalLM,
    Phi4MultimodalImageProcessor,
    Phi4MultimodalProcessor,
)

from tiny_vlms.common import VISION, build_model, build_tokenizer, save, text_config

PATCH = 2
TILE = 32 * PATCH  # its processor counts 256 tokens a tile, whatever it is configured with
CROPS = 4


def phi4_multimodal(folder: Path) -> None:
    """Phi-4-multimodal: padded crops and the image as a whole; its processor has no chat template."""
    named = {"image_token": "<|image|>", "audio_token": "<|audio|>"}
    tokenizer = build_tokenizer("<|user|>", "<|assistant|>", eos="<|end|>", pad="<|endoftext|>", named=named)
    processor = Phi4MultimodalProcessor(
        Phi4MultimodalImageProcessor(size={"height": TILE, "width": TILE}, patch_size=PATCH, dynamic_hd=CROPS),
        Phi4MultimodalFeatureExtractor(),
        tokenizer,
    )
    # As the published one: other rotary frequencies for prompts above a length, which none here has.
    rope = {"rope_type": "longrope", "rope_theta": 10_000.0, "short_factor": [1.0] * 4, "long_factor": [2.0] * 4}
    text = text_config("phi4_multimodal", tokenizer, rope_parameters=rope, original_max_position_embeddings=2048)
    config = Phi4MultimodalConfig(
        **text | {"max_position_embeddings": 4096},
        vision_config={
            **VISION,
            "num_hidden_layers": 3,
            "image_size": TILE,
            "crop_size": TILE,
            "patch_size": PATCH,
            "image_token_id": tokenizer.image_token_id,
        },
        audio_config={
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_blocks": 1,
            "num_attention_heads": 2,
            "ext_pw_out_channel": 32,
            "depthwise_separable_out_channel": 32,
            "nemo_conv_channels": 8,
            "audio_token_id": tokenizer.audio_token_id,
        },
    )
    save(folder, build_model(Phi4MultimodalForCausalLM, config), processor)


PROMPTS = {"phi4_multimodal": "phi-4-multimodal"}
FAMILIES = {"phi4_multimodal": phi4_multimodal}
