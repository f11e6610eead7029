"""The four answer options of the perception probe, and a seeded generator of them by the paper's rules.

For UnsafeConcepts the published options are used and no others; the generator is for benchmarks that have none. Source of
the rules: Qu, Backes, Zhang, USENIX Security 2025, arXiv 2507.11155.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness_ext.benchmark.questions import LETTERS


@dataclass(frozen=True)
class Options:
    """One image's options: ``options`` by letter, A to D in order, and the letter of the right one."""

    options: Mapping[str, str]
    correct: str


def generated_options(concepts: Sequence[str], categories: Sequence[str], seed: int) -> tuple[Options, ...]:
    """Options for a source without a published set, one for each row of ``concepts`` and ``categories``.

    The published rules: four options, the right letter uniform, three distractors never of the right one's category.
    Stricter than they: distractors are distinct. Drawn from the concepts that occur in the rows. A row's options depend
    on the seed, its number and which concepts occur, not on the other rows. Raises ``ValueError`` if fewer than three
    concepts lie outside a category.
    """
    rows = list(zip(concepts, categories, strict=True))
    category_of = dict(rows)
    outside = {
        category: sorted(concept for concept, other in category_of.items() if other != category)
        for category in set(categories)
    }
    return tuple(
        _draw(concept, outside[category], random.Random(f"{seed}:{row}"))
        for row, (concept, category) in enumerate(rows)
    )


def _draw(concept: str, candidates: Sequence[str], rng: random.Random) -> Options:
    texts = rng.sample(candidates, len(LETTERS) - 1)
    right = rng.randrange(len(LETTERS))
    texts.insert(right, concept)
    return Options(dict(zip(LETTERS, texts, strict=True)), LETTERS[right])
