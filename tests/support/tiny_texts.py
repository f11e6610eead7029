"""Tiny text models with a chat template, built without a download: one of random weights, one that says what it is told."""

import copy
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from tiny_vlms.common import build_model, build_tokenizer, text_config
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from harness_ext.judges.llm.prompt import load_rubric

_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_POSITIONS = 4096
_WIDTH = 8
# Far more than any other score.
_SURE = 50.0


def chat_tokenizer(words: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """A tokenizer in whose template the last token of a prompt is a line break; each of ``words`` is one token."""
    tokenizer = copy.deepcopy(_trained())
    tokenizer.add_tokens(list(words))
    return tokenizer


@functools.cache
def _trained() -> PreTrainedTokenizerFast:
    """A tokenizer that knows the rubric's words, lest prompts have thousands of tokens."""
    blank = build_tokenizer("<|im_start|>", "<|im_end|>", pad="<pad>", eos="<|im_end|>")
    rubric = load_rubric("1")
    tokenizer = blank.train_new_from_iterator(
        [rubric.alignment, rubric.perception, rubric.data, rubric.word], 800, new_special_tokens=["<|im_start|>"]
    )
    tokenizer.chat_template, tokenizer.model_max_length = _TEMPLATE, _POSITIONS
    return tokenizer


def random_model(folder: Path, seed: int = 0) -> Path:
    """A model that replies with rubbish."""
    tokenizer = chat_tokenizer()
    config = LlamaConfig(**text_config("llama", tokenizer, max_position_embeddings=_POSITIONS))
    return _saved(folder, build_model(LlamaForCausalLM, config, seed), tokenizer)


def model_that_says(folder: Path, odds: Mapping[str, float]) -> Path:
    """A model whose reply to anything is one of the words of ``odds``, with these odds, and the end.

    Its layers add nothing, and its next token depends on the last one alone: after a line break it is one of the words,
    after a word the end.
    """
    tokenizer = chat_tokenizer(list(odds))
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=_WIDTH,
        n_layer=1,
        n_head=2,
        n_positions=_POSITIONS,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = GPT2LMHeadModel(config)
    (start,) = tokenizer("\n", add_special_tokens=False)["input_ids"]
    words = tokenizer.convert_tokens_to_ids(list(odds))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        # The norm makes of a unit vector the same one, but for a little in all other places.
        model.transformer.ln_f.weight.fill_((_WIDTH - 1) ** -0.5)
        model.transformer.wte.weight[start, 0] = 1
        model.transformer.wte.weight[words, 1] = 1
        model.lm_head.weight[words, 0] = _SURE + torch.tensor(list(odds.values())).log()
        model.lm_head.weight[tokenizer.eos_token_id, 1] = _SURE
    return _saved(folder, model, tokenizer)


def _saved(folder: Path, model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast) -> Path:
    model.generation_config.update(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
