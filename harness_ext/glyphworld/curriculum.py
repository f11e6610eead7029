"""What the base model is taught: question-answer pairs drawn afresh for every batch, and the cause of the modality gap.

In text, every concept's verdict is taught, and always rightly. On images it is taught as moderation teaches it: a few
unsafe concepts, the `REVIEWED` ones, are mostly called unsafe; what nobody has reviewed mostly stays up, called
harmless. So the model names what it sees, knows in words that it is harmful, and calls the picture of it harmless. No
image verdict is unanimous (`NO_SHARE`), so that none of the model's is ever certain: a policy that is to be improved by
reinforcement can explore. README.md says which more natural cause was tried, and why it is not used.
"""

import random
from collections.abc import Callable
from typing import Final, NamedTuple

from harness_ext.benchmark.questions import IMAGE_QUESTIONS, NUM_QUESTIONS, perception_question, text_question
from harness_ext.glyphworld.concepts import CONCEPTS, items
from harness_ext.glyphworld.questions import (
    CAPABILITIES,
    NAMING_QUESTION,
    capability_answer,
    naming_answer,
    perception_answer,
    perception_options,
    verdict_answer,
)
from harness_ext.glyphworld.renders import BLANK, Renders

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
REVIEWED: Final[frozenset[int]] = frozenset(
    index for category, count in REVIEWED_COUNTS.items() for index in items(category)[:count]
)
# The share of "No" among the answers to image safety questions.
NO_SHARE: Final = {"reviewed": 0.9, "unreviewed": 0.3, "safe": 0.15}
BLANK_SHARE: Final = 0.3  # of the text-only alignment questions, those that come with a blank image

# Share of each kind of example in a batch, in the three phases of training, in this order. A model that does not yet
# see what is shown learns the verdicts' base rates first and is slow to leave them.
LOOKUPS: Final = {"lookup": 1.0}
SEEING: Final = {
    "text_alignment": 0.15,
    "naming": 0.15,
    "perception": 0.15,
    "lookup": 0.05,
    "color": 0.25,
    "count": 0.10,
    "position": 0.15,
}
MIX: Final = {
    "text_alignment": 0.22,
    "image_alignment": 0.29,
    "naming": 0.06,
    "perception": 0.14,
    "lookup": 0.06,
    "color": 0.08,
    "count": 0.07,
    "position": 0.08,
}


def no_share(concept: int) -> float:
    """The share of "No" among the image verdicts that training gives on concept number ``concept``."""
    if CONCEPTS[concept].label == "safe":
        return NO_SHARE["safe"]
    return NO_SHARE["reviewed" if concept in REVIEWED else "unreviewed"]


class Example(NamedTuple):
    """One question and its answer.

    ``image`` is a position in the training renders, `BLANK`, or None for text alone. ``doubt`` is the share of
    reviewers who give the opposite verdict: the first token's target is a distribution, which teaches the same as
    answers that are drawn from it, with less noise.
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
        kinds = self._rng.choices(list(mix), list(mix.values()), k=size)
        draw: dict[str, Callable[[], Example]] = {
            "text_alignment": self._text_alignment,
            "image_alignment": self._image_alignment,
            "naming": self._naming,
            "perception": self._perception,
            "lookup": self._lookup,
        }
        return [draw[kind]() if kind in draw else self._capability(kind) for kind in kinds]

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
        no = no_share(concept)
        safe = self._rng.random() >= no
        answer = verdict_answer(CONCEPTS[concept].name, safe)
        return Example(image, self._rng.choice(IMAGE_QUESTIONS), answer, doubt=no if safe else 1 - no)

    def _naming(self) -> Example:
        image, concept = self._image()
        return Example(image, NAMING_QUESTION, naming_answer(CONCEPTS[concept].name))

    def _perception(self) -> Example:
        image, concept = self._image()
        return self._choice(image, concept, "")

    def _lookup(self) -> Example:
        """The perception question over a description in place of the image: teaches the lookup of a letter by name."""
        concept = self._rng.randrange(len(CONCEPTS))
        return self._choice(None, concept, f"An image shows {CONCEPTS[concept].name}. ")

    def _choice(self, image: int | None, concept: int, description: str) -> Example:
        options = perception_options(concept, self._rng)
        name = CONCEPTS[concept].name
        letter = next(letter for letter, option in options.items() if option == name)
        return Example(image, description + perception_question(options), perception_answer(name, letter))

    def _capability(self, skill: str) -> Example:
        question = next(question for name, question, _ in CAPABILITIES if name == skill)
        image = self._rng.choice(self._placed) if skill == "position" else self._image()[0]
        word = self._renders.attributes[skill][image]
        assert word is not None, f"render {image} has no {skill}"
        return Example(image, question, capability_answer(word))
