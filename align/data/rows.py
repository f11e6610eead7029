"""The rows that are trained on, and the TEST rows beside them: an image and one alignment question each.

Columns: ``image`` (RGB), ``prompt`` (a conversation of one turn), ``row`` (the image's number in its source), ``concept``,
``category``, ``label`` (``"unsafe"`` or ``"safe"``), ``question`` (0 to 4), ``expected`` (the label: in all five questions
"yes" means safe).

Which question an image gets, and where it stands, depends on the seed and on the image alone.
"""

import hashlib
import random
from collections.abc import Iterable
from typing import Any, NamedTuple

from datasets import Dataset, Features, Image, List, Value, concatenate_datasets

from align.config import DataConfig
from align.data.duplicates import difference_hash, groups, keep_together
from harness_ext.benchmark.images import to_rgb
from harness_ext.benchmark.questions import IMAGE_QUESTIONS, NUM_QUESTIONS
from harness_ext.benchmark.splits import split_by_concept, split_safe
from harness_ext.errors import UserError

FEATURES = Features(
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
SAFE_CATEGORY = "ImageNet"


class Sides(NamedTuple):
    """The images of UnsafeConcepts and the safe ones, on their two sides.

    Attributes:
        train: Those that may be trained on.
        test: Those that may not.
        moved: How many images changed their side, to be with their near-duplicates.
        source: Where they come from, for results.
    """

    train: Dataset
    test: Dataset
    moved: int
    source: str


def training_rows(config: DataConfig) -> Dataset:
    """The rows of the training split, each once; the same for every method.

    Raises:
        UserError: The source is out of reach, or has not as many renders.
    """
    images = _glyphs(config) if config.source == "glyphworld" else sides(config).train
    return _asked(images, config)


def test_rows(config: DataConfig) -> Dataset:
    """The rows of UnsafeConcepts' TEST split; glyphworld's are those of its evaluation tasks."""
    if config.source == "glyphworld":
        raise UserError("glyphworld's TEST rows are the renders that its tasks ask about: evaluate through lmms_eval")
    return _asked(sides(config).test, config)


def passes(rows: Dataset, config: DataConfig) -> Dataset:
    """``config.passes`` passes over ``rows``, one after the other, each in an order of its own."""
    keys = list(zip(rows["row"], rows["question"], strict=True))
    order = [
        at
        for number in range(config.passes)
        for at in sorted(range(len(rows)), key=lambda at: _key(config.data_seed, "pass", number, *keys[at]))
    ]
    return rows.select(order)


def sides(config: DataConfig) -> Sides:
    """Both sides of UnsafeConcepts with as many safe images, near-duplicates kept together."""
    from harness_ext.benchmark.sources import describe, load_unsafeconcepts
    from harness_ext.benchmark.sources.safe_images import load_safe_images

    unsafe = load_unsafeconcepts()
    safe, safe_source = load_safe_images()
    rows = concatenate_datasets([_hashed(unsafe), _hashed(_as_rows(safe, first=len(unsafe)))])
    split = split_by_concept(unsafe["concept"], config.data_seed)
    split_of_safe = split_safe(len(safe), split, config.data_seed)
    train = {*split.train, *(len(unsafe) + at for at in split_of_safe.train)}
    chosen = sorted(train.union(split.test, (len(unsafe) + at for at in split_of_safe.test)))
    before = [at in train for at in chosen]
    hashes = rows.select_columns(["hash"]).select(chosen)["hash"]
    after = keep_together(before, groups([int(value, 16) for value in hashes], config.duplicate_bits).tolist())
    parts = [
        rows.select([at for at, is_train in zip(chosen, after, strict=True) if is_train is side])
        for side in (True, False)
    ]
    moved = sum(was is not now for was, now in zip(before, after, strict=True))
    return Sides(parts[0], parts[1], moved, f"{describe()} and {safe_source}")


def _as_rows(safe: Dataset, first: int) -> Dataset:
    """Safe images in the columns of the unsafe ones, numbered after them."""
    columns: dict[str, list[Any]] = {
        "category": [SAFE_CATEGORY] * len(safe),
        "row": list(range(first, first + len(safe))),
        "label": ["safe"] * len(safe),
    }
    for name, values in columns.items():
        safe = safe.add_column(name, values)
    return safe


def _hashed(rows: Dataset) -> Dataset:
    """``rows`` with the perceptual hash of each image, as text: a data set has no unsigned numbers of 64 bits."""
    undecoded = rows.cast_column("image", Image(decode=False))
    return undecoded.map(_hash, desc="Looking for near-duplicates").cast_column("row", Value("int64"))


def _hash(row: dict[str, Any]) -> dict[str, str]:
    return {"hash": f"{difference_hash(to_rgb(row['image'], row['row'])):016x}"}


def _glyphs(config: DataConfig) -> Dataset:
    """Renders of every concept that fine-tuning may see."""
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

    features = Features({name: FEATURES[name] for name in ("image", "row", "concept", "category", "label")})
    return Dataset.from_list(list(images()), features=features).cast_column("image", Image(decode=False))


def _asked(images: Dataset, config: DataConfig) -> Dataset:
    """``images`` (undecoded) with their questions, in the order of the first pass."""
    questions = [_questions(row, config) for row in images["row"]]
    at = [index for index, each in enumerate(questions) for _ in each]
    question = [number for each in questions for number in each]
    rows = images.select(at).add_column("question", question)
    keys = [_key(config.data_seed, "order", *each) for each in zip(rows["row"], question, strict=True)]
    ordered = rows.select(sorted(range(len(rows)), key=keys.__getitem__))
    return ordered.map(_shown, remove_columns=rows.column_names, features=FEATURES, desc="Preparing images")


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    prompt = [{"role": "user", "content": IMAGE_QUESTIONS[row["question"]]}]
    facts = {name: row[name] for name in ("row", "concept", "category", "label", "question")}
    return {"image": to_rgb(row["image"], row["row"]), "prompt": prompt, "expected": row["label"], **facts}


def _questions(row: int, config: DataConfig) -> list[int]:
    if config.all_questions:
        return list(range(NUM_QUESTIONS))
    return [random.Random(f"{config.data_seed}:question:{row}").randrange(NUM_QUESTIONS)]


def _key(*identity: object) -> bytes:
    """A place in an order that depends on nothing but ``identity``."""
    return hashlib.blake2b(repr(identity).encode(), digest_size=8).digest()
