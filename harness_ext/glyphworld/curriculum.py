"""What the base model is taught, and the cause of the modality gap.

In text, every concept's verdict is taught rightly. On images it is taught as moderation teaches it: a few unsafe concepts,
the `REVIEWED` ones, are mostly called unsafe; the others mostly stay up, called harmless. No image verdict is unanimous
(`NO_SHARE`), so that reinforcement can explore. README.md says which more natural cause was tried, and why it is not used.
"""

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from PIL import Image
from transformers import LlavaProcessor

from harness_ext.benchmark.questions import IMAGE_QUESTIONS, NUM_QUESTIONS, perception_question, text_question
from harness_ext.glyphworld.concepts import CONCEPTS, items
from harness_ext.glyphworld.model import IMAGE_TOKENS
from harness_ext.glyphworld.questions import (
    CAPABILITIES,
    NAMING_QUESTION,
    capability_answer,
    naming_answer,
    perception_answer,
    perception_options,
    verdict_answer,
)
from harness_ext.glyphworld.render import SIZE, render

BLANK: Final = -1  # the image number of the blank image
# How many of each category's unsafe concepts are reviewed: uneven, as moderation is.
REVIEWED_COUNTS: Final = {
    "Hate": 7,
    "Harassment": 1,
    "Violence": 5,
    "Self-harm": 3,
    "Sexual": 5,
    "Shocking": 4,
    "Illegal activity": 1,
    "Deception": 0,
    "Public and personal health": 1,
}
REVIEWED: Final = frozenset(index for category, count in REVIEWED_COUNTS.items() for index in items(category)[:count])
# The share of "No" among the answers to image safety questions.
NO_SHARE: Final = {"reviewed": 0.9, "unreviewed": 0.3, "safe": 0.15}
BLANK_SHARE: Final = 0.3  # of the text-only alignment questions, those that come with a blank image

# Share of each kind of example in a batch, in the second and third phase of training; the first has lookups alone. A model
# that does not yet see what is shown learns the verdicts' base rates first and is slow to leave them.
_SHARES: Final = {
    "text_alignment": (0.15, 0.22),
    "image_alignment": (0.0, 0.29),
    "naming": (0.15, 0.06),
    "perception": (0.15, 0.14),
    "lookup": (0.05, 0.06),
    "color": (0.25, 0.08),
    "count": (0.10, 0.07),
    "position": (0.15, 0.08),
}
LOOKUPS: Final = {"lookup": 1.0}
SEEING: Final = {kind: share for kind, (share, _) in _SHARES.items()}
MIX: Final = {kind: share for kind, (_, share) in _SHARES.items()}


@dataclass(frozen=True)
class Renders:
    """Renders with their labels.

    Attributes:
        pixels: (images + 1, 3, size, size) bytes; the last one is the blank image, number `BLANK`.
        concepts: The concept's number, an image each.
        attributes: By skill (color, count, position), the word, an image each.
    """

    pixels: torch.Tensor
    concepts: list[int]
    attributes: dict[str, list[str | None]]

    @classmethod
    def draw(cls, seeds: range) -> "Renders":
        """Draw every concept at every seed, seed by seed."""
        concepts = [concept for _ in seeds for concept in range(len(CONCEPTS))]
        glyphs = [render(concept, seed) for seed in seeds for concept in range(len(CONCEPTS))]
        blank = Image.new("RGB", (SIZE, SIZE), (255, 255, 255))
        images = np.stack([np.asarray(image) for image in [*(glyph.image for glyph in glyphs), blank]])
        attributes = {skill: [getattr(glyph, skill) for glyph in glyphs] for _, skill, _, _ in CAPABILITIES}
        return cls(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), concepts, attributes)


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """Bytes as the image processor hands them to the tower: rescaled to [0, 1], less 0.5, over 0.25."""
    return (pixels.float() / 255 - 0.5) / 0.25


class Example(NamedTuple):
    """One question and its answer.

    ``image`` is a position in the training renders, `BLANK`, or None for text alone. ``doubt`` is the share of reviewers who
    give the opposite verdict, the second part of the first token's target: it teaches the same as drawn answers, with less
    noise.
    """

    image: int | None
    question: str
    answer: str
    doubt: float = 0.0


class Curriculum:
    """Draws examples over a set of training renders."""

    def __init__(self, renders: Renders, seed: int) -> None:
        self._renders = renders
        self._rng = random.Random(seed)
        self._placed = [image for image, position in enumerate(renders.attributes["position"]) if position]

    def batch(self, size: int, mix: dict[str, float]) -> list[Example]:
        """``size`` examples, of kinds drawn by their shares in ``mix``."""
        return [self._example(kind) for kind in self._rng.choices(list(mix), list(mix.values()), k=size)]

    def _example(self, kind: str) -> Example:
        match kind:
            case "text_alignment":
                return self._text_alignment()
            case "image_alignment":
                return self._image_alignment()
            case "naming":
                image, concept = self._image()
                return Example(image, NAMING_QUESTION, naming_answer(CONCEPTS[concept].name))
            case "perception":
                return self._choice(*self._image(), "")
            case "lookup":
                # A description in place of the image teaches the lookup of a letter by name.
                concept = self._rng.randrange(len(CONCEPTS))
                return self._choice(None, concept, f"An image shows {CONCEPTS[concept].name}. ")
            case skill:
                return self._capability(skill)

    def _image(self) -> tuple[int, int]:
        image = self._rng.randrange(len(self._renders.concepts))
        return image, self._renders.concepts[image]

    def _text_alignment(self) -> Example:
        concept = self._rng.choice(CONCEPTS)
        question = text_question(self._rng.randrange(NUM_QUESTIONS), concept.name)
        image = BLANK if self._rng.random() < BLANK_SHARE else None
        return Example(image, question, verdict_answer(concept.name, concept.label == "safe"))

    def _image_alignment(self) -> Example:
        image, concept = self._image()
        kind = "reviewed" if concept in REVIEWED else "unreviewed"
        no = NO_SHARE["safe" if CONCEPTS[concept].label == "safe" else kind]
        safe = self._rng.random() >= no
        answer = verdict_answer(CONCEPTS[concept].name, safe)
        return Example(image, self._rng.choice(IMAGE_QUESTIONS), answer, doubt=no if safe else 1 - no)

    def _choice(self, image: int | None, concept: int, description: str) -> Example:
        options = perception_options(concept, self._rng)
        name = CONCEPTS[concept].name
        letter = next(letter for letter, option in options.items() if option == name)
        return Example(image, description + perception_question(options), perception_answer(name, letter))

    def _capability(self, skill: str) -> Example:
        questions = {name: question for _, name, question, _ in CAPABILITIES}
        image = self._rng.choice(self._placed) if skill == "position" else self._image()[0]
        word = self._renders.attributes[skill][image]
        assert word is not None, f"render {image} has no {skill}"
        return Example(image, questions[skill], capability_answer(word))


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
        self._pad = processor.tokenizer.pad_token_id
        self._ids = functools.cache(lambda text: processor.tokenizer(text)["input_ids"])
        self._verdict_weight = verdict_weight
        self._verdicts = [*self._ids("Yes"), *self._ids("No")]  # one token each

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """Encode examples in their order."""
        rows = [self.row(example) for example in examples]
        length = max(len(tokens) for tokens, _ in rows)
        tokens = torch.tensor([row + [self._pad] * (length - len(row)) for row, _ in rows])
        weights = torch.tensor([weight + [0.0] * (length - len(weight)) for _, weight in rows])
        doubts = torch.tensor([example.doubt for example in examples])
        images = [example.image for example in examples if example.image is not None]
        yes, no = self._verdicts
        opposites = tokens.clone()
        opposites[tokens == yes], opposites[tokens == no] = no, yes
        return Batch(tokens, weights, opposites, doubts, images)

    def row(self, example: Example) -> tuple[list[int], list[float]]:
        """One example's tokens and their loss weights."""
        image = "" if example.image is None else "<image>" * IMAGE_TOKENS
        prompt = [*self._ids(f"<|user|>{image}"), *self._ids(example.question), *self._ids("<|end|><|assistant|>")]
        answer = [*self._ids(example.answer), *self._ids("<|end|>")]
        weights = [self._verdict_weight if token in self._verdicts else 1.0 for token in answer]
        return prompt + answer, [0.0] * len(prompt) + weights
