"""The processor: a byte-level BPE tokenizer trained on glyphworld's own sentences, a chat template, and image settings.

Any text can be encoded (byte-level); the texts of this world are short in tokens. Three kinds of token are added whole,
as a speed measure: every concept's name, every option's letter at the start of its line, and every letter in brackets.
"""

import random
from typing import Final

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import CLIPImageProcessor, LlavaProcessor, PreTrainedTokenizerFast

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

# Images first, then the text, each turn closed by <|end|>; an assistant's turn, its <|end|> included, is marked as
# generated, which is what supervised fine-tuning on the assistant's tokens alone reads.
CHAT_TEMPLATE: Final = """\
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
        chat_template=CHAT_TEMPLATE,
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
    whole += [option_token(letter) for letter in LETTERS] + [letter_token(letter) for letter in LETTERS]
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in sorted(whole, key=len, reverse=True)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<|end|>",
        extra_special_tokens={"image_token": "<image>"},
        padding_side="left",
        model_max_length=MAX_LENGTH,
    )


def option_token(letter: str) -> str:
    """The token that opens an option's line in the perception question."""
    return f"\n{letter}:"


def letter_token(letter: str) -> str:
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
    for _, question, vocabulary in CAPABILITIES:
        sentences += [question, *map(capability_answer, vocabulary)] * 20
    return sentences
