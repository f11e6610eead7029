"""Options drawn by the paper's rules."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from harness_ext.benchmark.options import generated_options
from harness_ext.unsafeconcepts.taxonomy import CATEGORY_OF, CONCEPTS

ROWS = [concept for concept in CONCEPTS for _ in range(concept.images)]
NAMES = [concept.name for concept in ROWS]
CATEGORIES = [concept.category for concept in ROWS]


@st.composite
def worlds(draw):
    """Rows of some concepts in three or more categories, with at least three concepts outside each."""
    sizes = draw(st.lists(st.integers(2, 5), min_size=3, max_size=6))
    concepts = [(f"{category}-{item}", f"c{category}") for category, size in enumerate(sizes) for item in range(size)]
    extra = draw(st.lists(st.sampled_from(concepts), max_size=20))
    rows = draw(st.permutations(concepts + extra))
    return [name for name, _ in rows], [category for _, category in rows]


@given(worlds(), st.integers())
def test_generated_options_keep_the_rules(world, seed):
    names, categories = world
    category_of = dict(zip(names, categories, strict=True))
    drawn = generated_options(names, categories, seed)
    assert drawn == generated_options(names, categories, seed)
    for name, choice in zip(names, drawn, strict=True):
        assert list(choice.options) == ["A", "B", "C", "D"]
        assert choice.options[choice.correct] == name
        others = [text for letter, text in choice.options.items() if letter != choice.correct]
        assert len(set(others)) == 3
        assert all(category_of[other] != category_of[name] for other in others)


@given(worlds(), st.integers(), st.data())
def test_options_of_a_row_do_not_depend_on_the_other_rows(world, seed, data):
    names, categories = world
    row = data.draw(st.integers(0, len(names) - 1))
    more = data.draw(st.lists(st.sampled_from(list(zip(names, categories, strict=True))), max_size=5))
    longer = generated_options(
        [*names, *(name for name, _ in more)], [*categories, *(category for _, category in more)], seed
    )
    assert longer[row] == generated_options(names, categories, seed)[row]


def test_letters_and_distractors_are_uniform():
    names = [concept.name for concept in CONCEPTS] * 200
    categories = [concept.category for concept in CONCEPTS] * 200
    drawn = generated_options(names, categories, seed=0)
    letters = Counter(choice.correct for choice in drawn)
    assert set(letters) == set("ABCD")
    assert chisquare(list(letters.values())).pvalue > 0.001
    # Of the distractors of one category's rows, each concept outside it is drawn as often as any other.
    category = CONCEPTS[0].category
    others = Counter(
        text
        for name, choice in zip(names, drawn, strict=True)
        if CATEGORY_OF[name] == category
        for text in choice.options.values()
        if text != name
    )
    assert len(others) == sum(concept.category != category for concept in CONCEPTS)
    assert chisquare(list(others.values())).pvalue > 0.001


def test_the_seed_changes_them():
    assert generated_options(NAMES, CATEGORIES, 0) != generated_options(NAMES, CATEGORIES, 1)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="Sample larger than population"):
        generated_options(["a", "b", "c"], ["x", "y", "y"], seed=0)
