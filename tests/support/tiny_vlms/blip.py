"""BLIP-2 and InstructBLIP: a Q-Former between a tower and a language model of either kind, decoder or encoder-decoder.

They answer about one image and not without, and their processors drop a chat template that is saved with them.
"""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessor,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
)

from tiny_vlms.common import HEADS, VISION, WIDTH, build_model, build_tokenizer, save, text_config, unsaid

SIZE = 28
QUERIES = 4

_TOWER = {"image_size": SIZE, "patch_size": 7, **VISION}
_QFORMER = {**VISION, "cross_attention_frequency": 1, "max_position_embeddings": 256}


def _images() -> BlipImageProcessor:
    return BlipImageProcessor(size={"height": SIZE, "width": SIZE})


def _t5(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    sizes = {"d_model": WIDTH, "d_kv": WIDTH // HEADS, "d_ff": 2 * WIDTH, "num_layers": 2, "num_heads": HEADS}
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    decoder = {"decoder_start_token_id": tokenizer.pad_token_id, "is_encoder_decoder": True}
    style = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
    return {"model_type": "t5", "vocab_size": len(tokenizer), **sizes, **ids, **decoder, **style}


def _opt(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    return text_config("opt", tokenizer, ffn_dim=2 * WIDTH, word_embed_proj_dim=WIDTH)


def _save(
    folder: Path, model_class: type[PreTrainedModel], config: PreTrainedConfig, processor: ProcessorMixin
) -> None:
    """As ``save``; but ``generate`` of these classes does not read the checkpoint's generation settings."""
    model = build_model(model_class, config)
    with torch.no_grad():
        # A logit of nought, where the highest of the others is always more.
        model.language_model.lm_head.weight[unsaid(processor.tokenizer)] = 0
    save(folder, model, processor)


def _blip_2(folder: Path, tokenizer: PreTrainedTokenizerFast, text: dict[str, Any]) -> None:
    processor = Blip2Processor(_images(), tokenizer, num_query_tokens=QUERIES)
    config = Blip2Config(
        vision_config=_TOWER,
        qformer_config=_QFORMER,
        text_config=text,
        num_query_tokens=QUERIES,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    _save(folder, Blip2ForConditionalGeneration, config, processor)


def blip_2(folder: Path) -> None:
    """BLIP-2 before an OPT, whose positions are learned; its Q-Former sees the image alone."""
    tokenizer = build_tokenizer("<image>", pad="<pad>", bos="</s>", eos="</s>", adds_bos=True)
    _blip_2(folder, tokenizer, _opt(tokenizer))


def blip_2_t5(folder: Path) -> None:
    """BLIP-2 before a T5, whose positions are relative: padding between image and question would move them apart."""
    tokenizer = build_tokenizer("<image>", pad="<pad>", eos="</s>", padding_side="right")
    _blip_2(folder, tokenizer, _t5(tokenizer))


def _instructblip(folder: Path, tokenizer: PreTrainedTokenizerFast, text: dict[str, Any]) -> None:
    qformer_tokenizer = build_tokenizer(pad="[PAD]", eos="[SEP]", bos="[CLS]", adds_bos=True, padding_side="right")
    processor = InstructBlipProcessor(_images(), tokenizer, qformer_tokenizer, num_query_tokens=QUERIES)
    config = InstructBlipConfig(
        vision_config=_TOWER,
        qformer_config={
            **_QFORMER,
            "vocab_size": len(qformer_tokenizer),
            "pad_token_id": qformer_tokenizer.pad_token_id,
        },
        text_config=text,
        num_query_tokens=QUERIES,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    _save(folder, InstructBlipForConditionalGeneration, config, processor)


def instructblip(folder: Path) -> None:
    """InstructBLIP before a Llama (Vicuna); its Q-Former sees the question too, in tokens of its own."""
    tokenizer = build_tokenizer("<unk>", "<image>", pad="<pad>", bos="<s>", eos="</s>", adds_bos=True)
    _instructblip(folder, tokenizer, text_config("llama", tokenizer))


def instructblip_t5(folder: Path) -> None:
    """InstructBLIP before a T5."""
    tokenizer = build_tokenizer("<image>", pad="<pad>", eos="</s>", padding_side="right")
    _instructblip(folder, tokenizer, _t5(tokenizer))


FAMILIES = {
    "blip-2": blip_2,
    "blip-2-t5": blip_2_t5,
    "instructblip": instructblip,
    "instructblip-t5": instructblip_t5,
}

PROMPTS = {name: name.removesuffix("-t5") for name in FAMILIES}
IMAGE_ONLY = set(FAMILIES)
