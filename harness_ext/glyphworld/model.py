"""The model: a stock LLaVA of about one million parameters, and the start of its attention heads.

Two heads start set by hand instead of at random, a speed measure (not shown to be necessary): finding an option by its
name and copying its letter is an induction circuit, which a model this small finds late or never within the CPU minutes
that a build may take. Everything stays trainable.

* Layer 0, head 0 attends to the previous token (through biases and rotary position alone) and writes what it finds
  there into a subspace of its own: at an option's name, the letter before it.
* Layer 1, head 0 attends to earlier occurrences of the current token: at the name in the answer, the name in the
  options. It reads that subspace there and writes the letter back in the terms of the embeddings.
"""

import math
from typing import Final

import torch
from transformers import LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor, SiglipVisionConfig

from harness_ext.benchmark.questions import LETTERS
from harness_ext.glyphworld.processor import IMAGE_TOKENS, MAX_LENGTH, PATCH, letter_token, option_token
from harness_ext.glyphworld.render import SIZE

WIDTH: Final = 128
HEADS: Final = 4
_HEAD: Final = WIDTH // HEADS
_THETA: Final = 10_000.0
EMBEDDING_STD: Final = 0.05
_SHARPNESS: Final = 60.0  # of the previous-token head, in logits at a perfect match
_COPY: Final = 0.3  # scale of what the previous-token head writes
_MATCH: Final = 1.7  # scale of the same-token head's queries and keys


def build_model(processor: LlavaProcessor) -> LlavaForConditionalGeneration:
    """A fresh model for ``processor``, initialised from torch's global random state."""
    tokenizer = processor.tokenizer
    config = LlavaConfig(
        vision_config=SiglipVisionConfig(
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=HEADS,
            image_size=SIZE,
            patch_size=PATCH,
            vision_use_head=False,
        ),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=3,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            head_dim=_HEAD,
            attention_bias=True,
            max_position_embeddings=MAX_LENGTH,
            rope_parameters={"rope_type": "default", "rope_theta": _THETA},
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            tie_word_embeddings=True,
        ),
        tie_word_embeddings=True,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=IMAGE_TOKENS,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config.update(
        do_sample=False, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    _set_heads(model)
    _tie_letters(model, processor)
    return model


@torch.no_grad()
def _set_heads(model: LlavaForConditionalGeneration) -> None:
    first, second = (layer.self_attn for layer in model.model.language_model.layers[:2])
    head, half = slice(0, _HEAD), _HEAD // 2
    frequencies = _THETA ** (-torch.arange(0, _HEAD, 2).float() / _HEAD)

    # Rotated by position, these constant queries and keys score a distance d by the sum of cos((d - 1) * frequency).
    scale = math.sqrt(_SHARPNESS * 2 / math.sqrt(_HEAD))
    first.q_proj.weight[head] *= 0.1
    first.k_proj.weight[head] *= 0.1
    first.k_proj.bias[head] = scale * torch.cat([torch.ones(half), torch.zeros(half)])
    first.q_proj.bias[head] = scale * torch.cat([torch.cos(frequencies), -torch.sin(frequencies)])
    content, written = (torch.nn.init.orthogonal_(torch.empty(_HEAD, WIDTH)) for _ in range(2))
    first.v_proj.weight[head] = _COPY * content
    first.o_proj.weight[:, head] = _COPY * written.T

    # Match in the slow frequencies alone: there the score does not depend on how far back the option stands.
    slow = torch.cat([torch.zeros(half // 2), torch.ones(half // 2)]).repeat(2)[:, None]
    match = torch.nn.init.orthogonal_(torch.empty(_HEAD, WIDTH))
    second.q_proj.weight[head] = _MATCH * slow * match
    second.k_proj.weight[head] = _MATCH * slow * match
    second.v_proj.weight[head] = written
    second.o_proj.weight[:, head] = content.T


@torch.no_grad()
def _tie_letters(model: LlavaForConditionalGeneration, processor: LlavaProcessor) -> None:
    """Let each "(A)" start at the embedding of its option's "A:", so that copying the one suggests the other."""
    embeddings = model.get_input_embeddings().weight
    embeddings.normal_(std=EMBEDDING_STD)
    for letter in LETTERS:
        option, answer = processor.tokenizer.convert_tokens_to_ids([option_token(letter), letter_token(letter)])
        embeddings[answer] = embeddings[option]
