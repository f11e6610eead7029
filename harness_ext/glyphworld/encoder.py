"""Examples as tokens and loss weights."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from transformers import LlavaProcessor

from harness_ext.glyphworld.curriculum import Example
from harness_ext.glyphworld.processor import IMAGE_TOKENS


class Batch(NamedTuple):
    """Examples as tensors.

    Attributes:
        tokens: (batch, length), right-padded.
        weights: (batch, length), each token's weight in its example's loss; 0 outside the answers.
        opposites: (batch, length), the tokens with Yes and No exchanged.
        doubts: (batch,), the share of the opposite verdict in the target.
        images: The images' numbers, in the order of the examples that have one.
    """

    tokens: torch.Tensor
    weights: torch.Tensor
    opposites: torch.Tensor
    doubts: torch.Tensor
    images: list[int]


class Encoder:
    """Turns examples into tokens the way the chat template would, at a fraction of the time."""

    def __init__(self, processor: LlavaProcessor, verdict_weight: float) -> None:
        self._tokenizer = processor.tokenizer
        self._verdict_weight = verdict_weight
        self._known: dict[str, list[int]] = {}
        self._verdicts = [*self._ids("Yes"), *self._ids("No")]  # one token each

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """Encode examples, which keep their order."""
        rows = [self.row(example) for example in examples]
        length = max(len(tokens) for tokens, _ in rows)
        pad = self._tokenizer.pad_token_id
        tokens = torch.tensor([row + [pad] * (length - len(row)) for row, _ in rows])
        weights = torch.tensor([weight + [0.0] * (length - len(weight)) for _, weight in rows])
        doubts = torch.tensor([example.doubt for example in examples])
        images = [example.image for example in examples if example.image is not None]
        return Batch(tokens, weights, self._opposites(tokens), doubts, images)

    def _opposites(self, tokens: torch.Tensor) -> torch.Tensor:
        yes, no = self._verdicts
        opposites = tokens.clone()
        opposites[tokens == yes], opposites[tokens == no] = no, yes
        return opposites

    def length(self, example: Example) -> int:
        """How many tokens an example has."""
        return len(self.row(example)[0])

    def row(self, example: Example) -> tuple[list[int], list[float]]:
        """One example's tokens and their loss weights."""
        image = "" if example.image is None else "<image>" * IMAGE_TOKENS
        prompt = [*self._ids(f"<|user|>{image}"), *self._ids(example.question), *self._ids("<|end|><|assistant|>")]
        answer = [*self._ids(example.answer), *self._ids("<|end|>")]
        weights = [self._verdict_weight if token in self._verdicts else 1.0 for token in answer]
        return prompt + answer, [0.0] * len(prompt) + weights

    def _ids(self, text: str) -> list[int]:
        if text not in self._known:
            self._known[text] = self._tokenizer(text)["input_ids"]
        return self._known[text]
