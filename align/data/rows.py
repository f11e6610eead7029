"""The rows that are trained on: an image and one alignment question each.

Columns: ``image`` (RGB), ``prompt`` (a conversation of one turn), ``row`` (the image's number in its source; safe images of
UnsafeConcepts are numbered on from the unsafe ones), ``concept``, ``category``, ``label`` (``"unsafe"`` or ``"safe"``),
``question`` (0 to 4), ``expected`` (the label: in all five questions "yes" means safe).

Which question an image gets, and before which others it comes, depends on the seed and on the image alone.
"""

import hashlib
import random
from collections.abc import Iterable, Sequence
from typing import Any, Final

from datasets import Dataset, Features, Image, List, Value, concatenate_datasets

from align.config import DataConfig
from harness_ext.benchmark.questions import IMAGE_QUESTIONS, NUM_QUESTIONS
from harness_ext.benchmark.sides import sides
from harness_ext.errors import UserError

FEATURES: Final = Features(
    {
        "image": Image(),
        "prompt": List({"role": Value("string"), "content": Value("string")}),
        "row": Value("int64"),
        "concept": Value("string"),
        "category": Value("string"),
        "label": Value("string"),
        "question": Value("int64"),
        "expected": Value("string"),
    }
)
_OF_AN_IMAGE: Final = ("image", "row", "concept", "category", "label")


def training_rows(config: DataConfig) -> Dataset:
    """The rows of the training split, each once; the same for every method.

    Raises:
        UserError: The source is out of reach, not the published dataset, or has not as many renders.
    """
    if config.source == "glyphworld":
        images = _glyphs(config)
        return asked(images, range(len(images)), config)
    split = sides()
    return asked(split.images, split.train, config)


def passes(rows: Dataset, config: DataConfig) -> Dataset:
    """``config.passes`` passes over ``rows``, one after the other, each in an order of its own."""
    keys = list(zip(rows["row"], rows["question"], strict=True))
    order = [
        at
        for number in range(config.passes)
        for at in sorted(range(len(rows)), key=lambda at: _key(config.data_seed, "pass", number, *keys[at]))
    ]
    return rows.select(order)


def asked(images: Dataset, chosen: Sequence[int], config: DataConfig) -> Dataset:
    """The ``chosen`` positions of ``images`` with their questions, in an order drawn by ``config.data_seed``.

    ``images`` stay where they are, in memory or on disk, however many questions are asked about each.
    """
    numbers: list[int] = images["row"][:]
    if config.all_questions:
        deals = [[question] * len(numbers) for question in range(NUM_QUESTIONS)]
    else:
        deals = [[_drawn(config.data_seed, row) for row in numbers]]
    rows = concatenate_datasets([_with_questions(images, deal) for deal in deals])
    wanted = [
        (_key(config.data_seed, "order", numbers[at], deal[at]), number * len(numbers) + at)
        for number, deal in enumerate(deals)
        for at in chosen
    ]
    return rows.select([position for _, position in sorted(wanted)])


def _with_questions(images: Dataset, questions: list[int]) -> Dataset:
    prompts = [[{"role": "user", "content": IMAGE_QUESTIONS[question]}] for question in questions]
    rows = (
        images.select_columns(list(_OF_AN_IMAGE))
        .add_column("prompt", prompts, feature=FEATURES["prompt"])
        .add_column("question", questions, feature=FEATURES["question"])
        .add_column("expected", images["label"][:], feature=FEATURES["expected"])
    )
    return rows.select_columns(list(FEATURES)).cast_column("image", Image())


def _glyphs(config: DataConfig) -> Dataset:
    """Renders of every concept that fine-tuning may see; ``row`` is the render's seed and its concept in one number."""
    from harness_ext.glyphworld.concepts import CONCEPTS, NEVER_SEEN
    from harness_ext.glyphworld.render import ALIGNMENT_SEEDS, render

    seeds = ALIGNMENT_SEEDS[config.first_render : config.first_render + config.renders]
    if len(seeds) < config.renders:
        raise UserError(
            f"glyphworld has {len(ALIGNMENT_SEEDS)} renders of a concept for fine-tuning; first_render {config.first_render} "
            f"and renders {config.renders} go beyond"
        )

    def images() -> Iterable[dict[str, Any]]:
        for seed in seeds:
            for index, concept in enumerate(CONCEPTS):
                if concept.name not in NEVER_SEEN:
                    facts = {"concept": concept.name, "category": concept.category, "label": concept.label}
                    yield {"image": render(index, seed).image, "row": seed * len(CONCEPTS) + index, **facts}

    features = Features({name: FEATURES[name] for name in _OF_AN_IMAGE})
    return Dataset.from_list(list(images()), features=features)


def _drawn(seed: int, row: int) -> int:
    return random.Random(f"{seed}:question:{row}").randrange(NUM_QUESTIONS)


def _key(*identity: object) -> bytes:
    """A place in an order that depends on nothing but ``identity``."""
    return hashlib.blake2b(repr(identity).encode(), digest_size=8).digest()
