"""LLaVA-1.5's shapes with random weights, for benchmarks: how long a step takes does not hang on what a model knows.

python benchmarks/shapes.py SHAPES FOLDER --dtype bfloat16 --device cuda        # writes such a model
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.glyphworld.model import build_processor

# Width, inner width, layers, heads of the tower; then of the language model, and its vocabulary.
SHAPES: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "tiny": (
        {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2},
        {
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "vocab_size": 2048,
        },
    ),
    "narrow": (
        {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 2},
        {
            "hidden_size": 192,
            "intermediate_size": 528,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "vocab_size": 2048,
        },
    ),
    "small": (
        {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 8, "num_attention_heads": 6},
        {
            "hidden_size": 512,
            "intermediate_size": 1408,
            "num_hidden_layers": 8,
            "num_attention_heads": 8,
            "vocab_size": 2048,
        },
    ),
    "llava-7b": (
        {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16},
        {
            "hidden_size": 4096,
            "intermediate_size": 11008,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "vocab_size": 32064,
        },
    ),
}


PATCH = 14


def llava(shapes: str, folder: Path, dtype: torch.dtype, device: str, image_size: int = 336) -> None:
    """Write a LLaVA of LLaVA-1.5's shapes with random weights; images of ``image_size`` pixels a side, 576 tokens for 336."""
    # Glyphworld's tokenizer: any text, about as many tokens as LLaVA's own takes for the questions.
    tokenizer = build_processor().tokenizer
    tokenizer.model_max_length = 4096
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(
            size={"shortest_edge": image_size}, crop_size={"height": image_size, "width": image_size}
        ),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=build_processor().chat_template,
    )
    vision, text = SHAPES[shapes]
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**vision, image_size=image_size, patch_size=PATCH, projection_dim=768),
        text_config=LlamaConfig(
            **text,
            max_position_embeddings=4096,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=(image_size // PATCH) ** 2,
    )
    torch.manual_seed(0)
    with torch.device(device):
        torch.set_default_dtype(dtype)
        model = LlavaForConditionalGeneration(config)
        torch.set_default_dtype(torch.float32)
    # Every answer has all its tokens.
    ids = range(text["vocab_size"])
    model.generation_config.suppress_tokens = [*tokenizer.all_special_ids, *(at for at in ids if at >= len(tokenizer))]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def noise_images(count: int) -> list[Image.Image]:
    """Images of noise, the same every time."""
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (336, 336, 3), dtype=np.uint8)) for _ in range(count)]


def question_rows(count: int) -> Dataset:
    """Images of noise with alignment questions."""
    prompts = [[{"role": "user", "content": IMAGE_QUESTIONS[at % 5]}] for at in range(count)]
    return Dataset.from_dict({"image": noise_images(count), "prompt": prompts})


def main() -> None:
    """Write a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", choices=tuple(SHAPES))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    llava(options.shapes, options.folder, getattr(torch, options.dtype), options.device)


if __name__ == "__main__":
    main()
