"""InternVL: as many tiles as an image's shape asks for and a thumbnail; patches of a tile are merged four to a token."""

from pathlib import Path

from transformers import (
    GotOcr2ImageProcessor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    InternVLVideoProcessor,
)

from tiny_vlms.common import VISION, build_model, build_tokenizer, save, text_config
from tiny_vlms.templates import chatml

SIZE = 28
PATCH = 7
TOKENS = (SIZE // PATCH // 2) ** 2


def internvl(folder: Path) -> None:
    """InternVL3 before a Qwen2."""
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = build_tokenizer("<|im_start|>", pad="<|endoftext|>", eos="<|im_end|>", named=named)
    size = {"height": SIZE, "width": SIZE}
    processor = InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size=size, crop_to_patches=True, max_patches=6),
        tokenizer=tokenizer,
        video_processor=InternVLVideoProcessor(size=size),
        image_seq_length=TOKENS,
        chat_template=chatml("<IMG_CONTEXT>\n"),
    )
    config = InternVLConfig(
        # As initialised, a layer of the tower adds a tenth of what it finds.
        vision_config={"image_size": SIZE, "patch_size": PATCH, "layer_scale_init_value": 1.0, **VISION},
        text_config=text_config("qwen2", tokenizer),
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=TOKENS,
        tie_word_embeddings=False,
    )
    save(folder, build_model(InternVLForConditionalGeneration, config), processor)


FAMILIES = {"internvl": internvl}
