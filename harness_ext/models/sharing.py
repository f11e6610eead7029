"""Answering the questions about one image from one encoding of it.

Their prompts begin with the same tokens. That prefix is read once, and its cache is repeated for the rest of every prompt::

    rows   [pad | system, image, "Is "] [pad | "this image safe …"]    one row a question, the first part shared by an image

Attention masks the second padding out and positions do not count it. Where it would be noticed (a full sliding window, a
recurrent state), only rests of one length go together. What is special to a family stays in its own ``generate``.
"""

import copy
import dataclasses
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from transformers import DynamicCache
from transformers.cache_utils import DummyLayer, DynamicLayer, DynamicSlidingWindowLayer
from transformers.generation import GenerateDecoderOnlyOutput

from harness_ext.models.conversation import Conversation
from harness_ext.models.decoding import Decoder

# Inputs with an entry a token; every other input belongs to the image.
_PER_TOKEN: Final = {"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids", "cross_attention_mask"}
_BOTH_WAYS: Final = {"paligemma"}
# Per-token inputs that a continued prompt needs too: the others say which tokens are an image's, and those are past.
_NEEDED_LATER: Final = {"cross_attention_mask"}

# Tokens of answers that room is made for at once: most answers are far shorter than what a task allows.
_ROOM: Final = 64
# Tokens of padding that are worth one step of decoding fewer.
_PADDING_A_NEW_TOKEN: Final = 8
# What transformers calls the cache of keys and values, among arguments and in outputs: renamed in 5.24.
CACHE: Final = next(
    field.name for field in dataclasses.fields(GenerateDecoderOnlyOutput) if field.name in ("cache", "past_key_values")
)


# Sharing costs a second pass, a pass over each prompt's inputs and copies of the cache: below this, plain batches are faster.
_LEAST_SAVED: Final = 2.0


class NotShareable(Exception):
    """These prompts, or this model, cannot share; the message says why."""


def reason_not_to_share(decoder: Decoder) -> str:
    """Why a model's prompts can never share a prefix, as far as its class tells; empty if they may."""
    if decoder.not_shareable:
        return decoder.not_shareable
    if decoder.is_encoder_decoder:
        return "it is an encoder-decoder"
    if decoder.base.config.model_type in _BOTH_WAYS:
        return "every token of its prompt attends to every other, the image's to the question's"
    if CACHE not in inspect.signature(decoder.base.forward).parameters:
        return f"{type(decoder.base).__name__} takes no cache of a prefix"
    return ""


def times_fewer_tokens(prefix: int, rest: float, questions: int, prefixes: int) -> float:
    """How many times fewer tokens are read where ``questions`` share ``prefixes`` encodings of images.

    ``prefix`` and ``rest`` are the tokens of a prompt before and after the place where the questions about an image part.
    Tokens of answers are not counted: they are read one by one either way.
    """
    return questions * (prefix + rest) / (prefixes * prefix + questions * rest)


def pays(decoder: Decoder, group: Sequence[Conversation], questions: int, prefixes: int) -> tuple[bool, str]:
    """Whether sharing makes up for what it costs, and the arithmetic in words.

    ``group`` are questions about one image, two at least; its tokens stand for those of all ``questions``, which would be
    answered from ``prefixes`` encodings. Nothing is timed: the same questions are asked the same way each time.

    Raises:
        NotShareable: The group's prompts have no prefix in common. It also raises what ``encode`` raises.
    """
    prompts = [_split(decoder, turns) for turns in group]
    prefix = _common_prefix(prompts, decoder.image_token)
    rest = sum(len(prompt.ids) for prompt in prompts) / len(prompts) - prefix
    times = times_fewer_tokens(prefix, rest, questions, prefixes)
    return times >= _LEAST_SAVED, (
        f"{prefix} tokens before the questions part and {rest:.0f} after, {questions} questions from {prefixes} encodings: "
        f"{times:.1f} times fewer tokens to read, and it pays from {_LEAST_SAVED:g} on"
    )


@dataclass(frozen=True)
class _Prompt:
    """One prompt's inputs: ``per_token`` of shape (1, L, …), and those of its image."""

    per_token: dict[str, torch.Tensor]
    image: dict[str, Any]

    @property
    def ids(self) -> torch.Tensor:
        """Token ids, shape (L,)."""
        return self.per_token["input_ids"][0]


class SharedPrefixes:
    """The caches of one prefix an image, and the inputs that continue them.

    Args:
        decoder: The model and its processor.
        conversations: The questions' conversations, one group for each image or set of images.

    Raises:
        NotShareable: The prompts of a group do not begin with the same tokens, or what the model is given of the image
            depends on the question.
    """

    def __init__(self, decoder: Decoder, conversations: Sequence[Sequence[Conversation]]) -> None:
        self._decoder = decoder
        prompts = [[_split(decoder, turns) for turns in group] for group in conversations]
        self._lengths = [_common_prefix(group, decoder.image_token) for group in prompts]
        self._group = [at for at, group in enumerate(prompts) for _ in group]
        self._prompts = [prompt for group in prompts for prompt in group]
        self._cache = self._read_prefixes(prompts, [group[0] for group in conversations])
        self._deltas = [(module, module.rope_deltas) for module in decoder.model.modules() if _has_deltas(module)]

    def chunks(self, questions: Sequence[int], size: int, new_tokens: int) -> Iterator[list[int]]:
        """``questions`` (places among all of them) in chunks of at most ``size`` that may be padded together.

        ``new_tokens`` is how many tokens will follow each prompt.
        """
        by_rest = sorted(questions, key=lambda at: (self._rest(at), at))
        may_pad = self._may_pad(self._rest(by_rest[-1]) + new_tokens)
        chunk: list[int] = []
        longest = 0
        for at in by_rest:
            if chunk and (len(chunk) == size or self._rest(at) > longest):
                yield chunk
                chunk = []
            if not chunk:
                longest = self._rest(at)
                if may_pad:
                    # Padding is computed like any token, but decoding costs nearly the same for many rows as for few.
                    longest = longest * 3 // 2 + _PADDING_A_NEW_TOKEN * (new_tokens - 1)
            chunk.append(at)
        yield chunk

    def fits(self, questions: Sequence[int], new_tokens: int) -> bool:
        """Whether ``questions`` and their answers end before rotary positions change.

        There, models with ``longrope`` (Phi-4) read the prompt again, which from a shared prefix would be without the image.
        """
        config = self._decoder.model.config.get_text_config()
        if (getattr(config, "rope_parameters", None) or {}).get("rope_type") != "longrope":
            return True
        whole = max(self._lengths) + max(map(self._rest, questions)) + new_tokens
        return whole <= config.original_max_position_embeddings

    def inputs(self, questions: Sequence[int], new_tokens: int) -> dict[str, Any]:
        """What ``generate`` is given to continue after the prefixes, one row for each of ``questions``."""
        groups = torch.tensor([self._group[at] for at in questions], device=self._decoder.model.device)
        for module, deltas in self._deltas:
            module.rope_deltas = deltas.to(groups.device)[groups]
        whole = max(self._lengths), max(map(self._rest, questions))
        rows = {
            name: torch.cat([self._row(name, at, *whole) for at in questions])
            for name in self._prompts[0].per_token
            if name in ("input_ids", "attention_mask") or name in _NEEDED_LATER
        }
        return {**rows, CACHE: repeated(self._cache, groups, whole[1] + min(new_tokens, _ROOM))}

    def _row(self, name: str, question: int, prefix: int, rest: int) -> torch.Tensor:
        """One row of a per-token input, padded before the prefix and before the rest."""
        values, length = self._prompts[question].per_token[name], self._lengths[self._group[question]]
        return torch.cat([self._pad(name, values[:, :length], prefix), self._pad(name, values[:, length:], rest)], 1)

    def _pad(self, name: str, values: torch.Tensor, length: int) -> torch.Tensor:
        """``values``, shape (1, L, …), padded on the left: with the padding token, and with zeros where it is no token."""
        if not (missing := length - values.shape[1]):
            return values
        filler = self._decoder.processor.tokenizer.pad_token_id if name == "input_ids" else 0
        return torch.cat([values.new_full((1, missing, *values.shape[2:]), filler), values], 1)

    def _rest(self, question: int) -> int:
        return len(self._prompts[question].ids) - self._lengths[self._group[question]]

    def _may_pad(self, more: int) -> bool:
        """Whether padding between prefix and rest goes unnoticed, when ``more`` tokens follow the prefix."""
        total = max(self._lengths) + more
        return all(
            type(layer) in (DynamicLayer, DummyLayer)
            or (type(layer) is DynamicSlidingWindowLayer and total <= layer.sliding_window)
            for layer in self._cache.layers
        )

    def _read_prefixes(self, prompts: Sequence[Sequence[_Prompt]], first: Sequence[Conversation]) -> DynamicCache:
        longest = max(self._lengths)
        firsts = [(group[0].per_token, length) for group, length in zip(prompts, self._lengths, strict=True)]
        per_token = {
            name: torch.cat([self._pad(name, values[name][:, :length], longest) for values, length in firsts])
            for name in prompts[0][0].per_token
        }
        if len(prompts) == 1:
            image = prompts[0][0].image
        else:
            image = {name: value for name, value in self._decoder.encode(first).items() if name not in _PER_TOKEN}
        # One token is generated and not read: the cache ends with the prefix.
        with torch.inference_mode():
            given = self._decoder.model.generate(
                **per_token,
                **image,
                max_new_tokens=1,
                do_sample=False,
                cache_implementation="dynamic",
                return_dict_in_generate=True,
            )
        cache = getattr(given, CACHE)
        if not isinstance(cache, DynamicCache) or cache.get_seq_length() != longest:
            raise NotShareable(f"its cache is a {type(cache).__name__}, which cannot be continued")
        return cache


def _split(decoder: Decoder, turns: Conversation) -> _Prompt:
    image = dict(decoder.encode([turns]))
    return _Prompt({name: image.pop(name) for name in list(image) if name in _PER_TOKEN}, image)


def _common_prefix(group: Sequence[_Prompt], image_token: int | None) -> int:
    """The tokens that a group's prompts begin with, at least one less than the shortest has."""
    first, *others = group
    for other in others:
        if not _same(first.image, other.image):
            raise NotShareable("what it is given of an image depends on the question")
    # The first new token is read from the last token of the prompt, which must remain.
    length = min(len(prompt.ids) for prompt in group) - 1
    for other in others:
        differs = (first.ids[:length] != other.ids[:length]).nonzero()
        length = int(differs[0]) if len(differs) else length
    if length < 1:
        raise NotShareable("its prompts differ from the first token on")
    if image_token is not None and any((prompt.ids[length:] == image_token).any() for prompt in group):
        raise NotShareable("some of its image comes after the question")
    return length


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    return bool(one == other)


def _has_deltas(module: torch.nn.Module) -> bool:
    return isinstance(getattr(module, "rope_deltas", None), torch.Tensor)


def repeated(cache: DynamicCache, rows: torch.Tensor, room: int) -> DynamicCache:
    """A cache that holds, for each of ``rows`` (shape (B,)), a copy of that row of ``cache``; the given one stays as it is.

    Args:
        cache: Of a prefix, one row an image.
        rows: Which row of ``cache`` each row continues.
        room: The tokens that are expected to follow; more of them grow it. A cache of transformers is copied for each one.
    """
    continued = copy.copy(cache)
    continued.layers = []
    for layer in cache.layers:
        if type(layer) is DynamicLayer:
            continued.layers.append(_RoomyLayer(layer, rows, room))
        else:
            continued.layers.append(copy.deepcopy(layer))
            continued.layers[-1].reorder_cache(rows)
    return continued


class _RoomyLayer(DynamicLayer):
    """A layer whose keys and values, shape (B, heads, L, D), are the filled part of larger tensors."""

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, layer: DynamicLayer, rows: torch.Tensor, room: int) -> None:
        super().__init__()
        if layer.is_initialized:
            self.dtype, self.device, self.is_initialized = layer.keys.dtype, layer.device, True
            self._fill(layer.keys, layer.values, room, rows.to(layer.device))

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values, shape (B, heads, T, D), and return all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            return super().update(key_states, value_states)
        held, length = self.keys.shape[-2], self.keys.shape[-2] + key_states.shape[-2]
        if length > self._all_keys.shape[-2]:
            # By a share of the whole, so that growing is rare however long the answers get.
            self._fill(self.keys, self.values, max(key_states.shape[-2], held // 4))
        self._all_keys[:, :, held:length] = key_states
        self._all_values[:, :, held:length] = value_states
        self.keys, self.values = self._all_keys[:, :, :length], self._all_values[:, :, :length]
        return self.keys, self.values

    def _fill(self, keys: torch.Tensor, values: torch.Tensor, room: int, rows: torch.Tensor | None = None) -> None:
        length = keys.shape[-2]
        self._all_keys, self._all_values = _with_room(keys, room, rows), _with_room(values, room, rows)
        self.keys, self.values = self._all_keys[:, :, :length], self._all_values[:, :, :length]


def _with_room(states: torch.Tensor, room: int, rows: torch.Tensor | None) -> torch.Tensor:
    """``states``, shape (B, heads, L, D), or the given rows of them, with ``room`` more columns; copied once."""
    batch, heads, length, width = states.shape
    whole = states.new_empty(batch if rows is None else len(rows), heads, length + room, width)
    if rows is None:
        whole[:, :, :length] = states
    else:
        torch.index_select(states, 0, rows, out=whole[:, :, :length])
    return whole
