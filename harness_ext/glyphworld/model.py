"""The model: a stock LLaVA of about one million parameters, its processor, and the start of its attention heads.

The tokenizer is a byte-level BPE, trained on glyphworld's own sentences: it can encode any text, and the texts of this world
are short in tokens. Three kinds of token are added whole, as a speed measure: every concept's name, every option's letter at
the start of its line, and every letter in brackets.
"""

import math
import random
from typing import Final

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessor,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    SiglipVisionConfig,
)

from harness_ext.benchmark.questions import IMAGE_QUESTIONS, LETTERS, NUM_QUESTIONS, perception_question, text_question
from harness_ext.glyphworld.concepts import CONCEPTS
from harness_ext.glyphworld.questions import (
    CAPABILITIES,
    NAMING_QUESTION,
    capability_answer,
    naming_answer,
    perception_answer,
    perception_options,
    verdict_answer,
)
from harness_ext.glyphworld.render import SIZE

PATCH: Final = 12  # pixels; 16 image tokens
IMAGE_TOKENS: Final = (SIZE // PATCH) ** 2
MAX_LENGTH: Final = 512
_VOCABULARY: Final = 900  # before the added tokens
_SPECIAL: Final = ("<pad>", "<|end|>", "<image>", "<|user|>", "<|assistant|>", "<|system|>")
WIDTH: Final = 128
HEADS: Final = 4
_HEAD: Final = WIDTH // HEADS
_THETA: Final = 10_000.0
EMBEDDING_STD: Final = 0.05
_SHARPNESS: Final = 60.0  # of the previous-token head, in logits at a perfect match
_COPY: Final = 0.3  # scale of what the previous-token head writes
_MATCH: Final = 1.7  # scale of the same-token head's queries and keys

# Images first, then the text, each turn closed by <|end|>; an assistant's turn, its <|end|> included, is marked as
# generated, which is what supervised fine-tuning on the assistant's tokens alone reads.
_CHAT_TEMPLATE: Final = """\
{%- macro body(content) -%}
{%- if content is string -%}{{ content }}{%- else -%}
{%- for part in content if part['type'] == 'image' -%}{{ '<image>' }}{%- endfor -%}
{%- for part in content if part['type'] == 'text' -%}{{ part['text'] }}{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{%- for message in messages -%}
{{- '<|' + message['role'] + '|>' -}}
{%- if message['role'] == 'assistant' -%}
{%- generation -%}{{- body(message['content']) + '<|end|>' -}}{%- endgeneration -%}
{%- else -%}
{{- body(message['content']) + '<|end|>' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}
"""


def build_processor() -> LlavaProcessor:
    """Train the tokenizer (a fraction of a second, the same every time) and put the processor together."""
    image_processor = CLIPImageProcessor(
        size={"height": SIZE, "width": SIZE}, do_center_crop=False, image_mean=[0.5] * 3, image_std=[0.25] * 3
    )
    return LlavaProcessor(
        image_processor=image_processor,
        tokenizer=_tokenizer(),
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=0,
        chat_template=_CHAT_TEMPLATE,
    )


def _tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=list(_SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_sentences(), trainer)
    whole = [f" {concept.name}" for concept in CONCEPTS]
    whole += [_option_token(letter) for letter in LETTERS] + [_letter_token(letter) for letter in LETTERS]
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in sorted(whole, key=len, reverse=True)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<|end|>",
        extra_special_tokens={"image_token": "<image>"},
        padding_side="left",
        model_max_length=MAX_LENGTH,
    )


def _option_token(letter: str) -> str:
    """The token that opens an option's line in the perception question."""
    return f"\n{letter}:"


def _letter_token(letter: str) -> str:
    """The token that names an option in an answer."""
    return f" ({letter})"


def _sentences() -> list[str]:
    """Every sentence of this world at least once: what the tokenizer is trained on."""
    rng = random.Random(0)
    sentences = [NAMING_QUESTION, *IMAGE_QUESTIONS] * 20
    for index, concept in enumerate(CONCEPTS):
        sentences += [verdict_answer(concept.name, True), verdict_answer(concept.name, False)]
        sentences += [naming_answer(concept.name), perception_answer(concept.name, rng.choice(LETTERS))]
        sentences += [text_question(question, concept.name) for question in range(NUM_QUESTIONS)]
        sentences += [perception_question(perception_options(index, rng))]
    for _, _, question, vocabulary in CAPABILITIES:
        sentences += [question, *map(capability_answer, vocabulary)] * 20
    return sentences


def build_model(processor: LlavaProcessor) -> LlavaForConditionalGeneration:
    """A fresh model for ``processor``, initialised from torch's global random state."""
    tokenizer = processor.tokenizer
    sizes = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_attention_heads": HEADS}
    config = LlavaConfig(
        vision_config=SiglipVisionConfig(
            **sizes,
            num_hidden_layers=2,
            image_size=SIZE,
            patch_size=PATCH,
            vision_use_head=False,
        ),
        text_config=LlamaConfig(
            **sizes,
            vocab_size=len(tokenizer),
            num_hidden_layers=3,
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
    """Start two heads by hand instead of at random, a speed measure (not shown to be necessary); both stay trainable.

    Finding an option by its name and copying its letter is an induction circuit, which a model this small finds late or
    never within the CPU minutes that a build may take. Layer 0, head 0 attends to the previous token (through biases and
    rotary position alone) and writes it into a subspace of its own: at an option's name, the letter before it. Layer 1,
    head 0 attends to earlier occurrences of the current token: at the name in the answer, the name in the options. It reads
    that subspace there and writes the letter back in the terms of the embeddings.
    """
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
        option, answer = processor.tokenizer.convert_tokens_to_ids([_option_token(letter), _letter_token(letter)])
        embeddings[answer] = embeddings[option]
