"""Meta's families: Llama 3.2 Vision, whose layers look at the image beside the text, and Llama 4, a mixture of experts."""

from pathlib import Path

import torch
from transformers import (
    Llama4Config,
    Llama4ForConditionalGeneration,
    Llama4ImageProcessor,
    Llama4Processor,
    MllamaConfig,
    MllamaForConditionalGeneration,
    MllamaImageProcessor,
    MllamaProcessor,
)

from tiny_vlms.common import HEADS, VISION, WIDTH, build_model, build_tokenizer, save, text_config
from tiny_vlms.templates import chat_template

TILE = 28
TILES = 4
GATE = 0.2  # wide open, the image alone would be heard


def _template(opened: str, closed: str, end: str) -> str:
    turn = rf"'{opened}' + role + '{closed}\n\n' + body + '{end}'"
    return chat_template("<|image|>", turn, f"{opened}assistant{closed}\n\n", start="bos_token")


def mllama(folder: Path) -> None:
    """Llama 3.2 Vision: an image is one token, and every other layer of the decoder attends to its tiles."""
    opened, closed, end = "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"
    special = (opened, closed, "<|python_tag|>", "<|image|>")
    tokenizer = build_tokenizer(*special, bos="<|begin_of_text|>", eos=end, pad="<|finetune_right_pad_id|>")
    processor = MllamaProcessor(
        MllamaImageProcessor(size={"height": TILE, "width": TILE}, max_image_tiles=TILES),
        tokenizer,
        chat_template=_template(opened, closed, end),
    )
    config = MllamaConfig(
        text_config=text_config("mllama_text_model", tokenizer, num_hidden_layers=4, cross_attention_layers=[1, 3]),
        vision_config={
            **VISION,
            "num_global_layers": 1,
            "image_size": TILE,
            "patch_size": TILE // 2,
            "max_num_tiles": TILES,
            "intermediate_layers_indices": [0, 1],
            "vision_output_dim": 3 * WIDTH,
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<|image|>"),
    )
    model = build_model(MllamaForConditionalGeneration, config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.numel() == 1:  # a gate, closed before training: the image would never be heard
                parameter.fill_(GATE)
    save(folder, model, processor)


def llama4(folder: Path) -> None:
    """Llama 4: attention in chunks with rotary positions in three layers of four, experts in every other layer, tiles."""
    opened, closed, end = "<|header_start|>", "<|header_end|>", "<|eot|>"
    image = ("<|image_start|>", "<|image_end|>", "<|patch|>", "<|tile_x_separator|>", "<|tile_y_separator|>")
    pad = "<|finetune_right_pad|>"
    tokenizer = build_tokenizer(opened, closed, "<|image|>", *image, bos="<|begin_of_text|>", eos=end, pad=pad)
    processor = Llama4Processor(
        Llama4ImageProcessor(size={"height": TILE, "width": TILE}, max_patches=TILES),
        tokenizer,
        patch_size=TILE // 4,
        chat_template=_template(opened, closed, end),
    )
    config = Llama4Config(
        text_config=text_config(
            "llama4_text",
            tokenizer,
            num_hidden_layers=4,
            attention_chunk_size=32,
            intermediate_size_mlp=2 * WIDTH,
            num_local_experts=4,
            interleave_moe_layer_step=2,
        ),
        vision_config={
            **VISION,
            "intermediate_size": HEADS * WIDTH,  # what the shuffled pixels of a token have
            "image_size": TILE,
            "patch_size": TILE // 4,
            "projector_input_dim": WIDTH,
            "projector_output_dim": WIDTH,
            "vision_output_dim": WIDTH,
        },
        boi_token_index=tokenizer.convert_tokens_to_ids("<|image_start|>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<|image_end|>"),
        image_token_index=tokenizer.convert_tokens_to_ids("<|patch|>"),
    )
    save(folder, build_model(Llama4ForConditionalGeneration, config), processor)


FAMILIES = {"mllama": mllama, "llama4": llama4}
