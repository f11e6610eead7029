"""Idefics2, with a Perceiver that reads an image, and Idefics3 and SmolVLM, with tiles that tokens of their own announce."""

from pathlib import Path
from typing import Any

from transformers import (
    Idefics2Config,
    Idefics2ForConditionalGeneration,
    Idefics2ImageProcessor,
    Idefics2Processor,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    Idefics3Processor,
    PreTrainedTokenizerFast,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)

from tiny_vlms.common import VISION, WIDTH, build_model, build_tokenizer, save, text_config
from tiny_vlms.templates import chat_template

TILE = 28
PATCH = 14
LATENTS = 4

_TEMPLATE = chat_template(
    "<image>",
    r"role.capitalize() + (':' if message['content'][0]['type'] == 'image' else ': ') + body + '<end_of_utterance>\n'",
    "Assistant:",
)


def _tokenizer(*more: str) -> PreTrainedTokenizerFast:
    image = ("<fake_token_around_image>", "<image>", "<end_of_utterance>")
    return build_tokenizer("<unk>", *image, *more, bos="<s>", eos="</s>", pad="<pad>")


def idefics2(folder: Path) -> None:
    """Idefics2: images of any shape, padded to the largest of a batch, cut in four and read by a Perceiver."""
    tokenizer = _tokenizer()
    processor = Idefics2Processor(
        Idefics2ImageProcessor(size={"shortest_edge": TILE, "longest_edge": 2 * TILE}, do_image_splitting=True),
        tokenizer,
        image_seq_len=LATENTS,
        chat_template=_TEMPLATE,
    )
    config = Idefics2Config(
        text_config=text_config("mistral", tokenizer, sliding_window=None),
        vision_config={**VISION, "image_size": 2 * TILE, "patch_size": PATCH},
        perceiver_config={
            "hidden_size": WIDTH,
            "resampler_n_latents": LATENTS,
            "resampler_depth": 2,
            "resampler_n_heads": 4,
            "resampler_head_dim": WIDTH // 4,
            "num_key_value_heads": 2,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    save(folder, build_model(Idefics2ForConditionalGeneration, config), processor)


def _tiled(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """What Idefics3 and SmolVLM are configured with: four patches of a tile become one token."""
    return {
        "text_config": text_config("llama", tokenizer),
        "vision_config": {**VISION, "image_size": TILE, "patch_size": PATCH},
        "scale_factor": 2,
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
    }


def _tile_names() -> list[str]:
    return ["<global-img>", *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7))]


def idefics3(folder: Path) -> None:
    """Idefics3: two by two tiles, or fewer for a long image, and the image as a whole after them."""
    tokenizer = _tokenizer(*_tile_names())
    processor = Idefics3Processor(
        Idefics3ImageProcessor(size={"longest_edge": 2 * TILE}, max_image_size={"longest_edge": TILE}),
        tokenizer,
        image_seq_len=1,
        chat_template=_TEMPLATE,
    )
    save(folder, build_model(Idefics3ForConditionalGeneration, Idefics3Config(**_tiled(tokenizer))), processor)


def smolvlm(folder: Path) -> None:
    """SmolVLM: Idefics3 with videos. Its processor needs the package ``num2words``, for videos alone."""
    tokenizer = _tokenizer(*_tile_names())
    processor = SmolVLMProcessor(
        SmolVLMImageProcessor(size={"longest_edge": 2 * TILE}, max_image_size={"longest_edge": TILE}),
        tokenizer,
        SmolVLMVideoProcessor(),
        image_seq_len=1,
        chat_template=_TEMPLATE,
    )
    save(folder, build_model(SmolVLMForConditionalGeneration, SmolVLMConfig(**_tiled(tokenizer))), processor)


FAMILIES = {"idefics2": idefics2, "idefics3": idefics3, "smolvlm": smolvlm}
