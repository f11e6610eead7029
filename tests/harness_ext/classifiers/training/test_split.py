"""What is held out: properties of any split."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_ext.classifiers.training.rows import Example, Labelled
from harness_ext.classifiers.training.split import check_labels, split
from harness_ext.errors import UserError

PAIRS = st.dictionaries(
    st.tuples(st.text(max_size=3), st.sampled_from(["safe", "unsafe", "na"])), st.integers(1, 9), min_size=1
)


@given(pairs=PAIRS, share=st.floats(0.05, 0.5), seed=st.integers(0, 5))
def test_every_example_is_in_one_part_and_every_response_on_one_side(
    pairs: dict[tuple[str, str], int], share: float, seed: int
) -> None:
    examples = [Example(text, label, count) for (text, label), count in pairs.items()]
    parts = split(examples, share, seed)
    together = [*parts.train, *parts.validation, *parts.held_out]
    assert sorted(together) == sorted(examples)
    sides = [{each.text for each in part} for part in (parts.train, parts.validation, parts.held_out)]
    assert sum(map(len, sides)) == len({each.text for each in examples})
    shuffled = random.Random(seed).sample(examples, len(examples))
    assert split(shuffled, share, seed) == parts


def test_the_shares_are_those_of_each_label_and_the_seed_draws_them() -> None:
    examples = [
        Example(f"{label} {at}", label, 1) for label, count in (("safe", 100), ("na", 20)) for at in range(count)
    ]
    parts = split(examples, 0.2, 0)
    counts = [
        [sum(each.label == label for each in part) for part in (parts.train, parts.validation, parts.held_out)]
        for label in ("safe", "na")
    ]
    assert counts == [[70, 10, 20], [14, 2, 4]]
    assert split(examples, 0.2, 1) != parts


@pytest.mark.parametrize(
    ("counts", "without", "message"),
    [
        ({"safe": 10, "unsafe": 10, "na": 9}, [], "found 9 of na"),
        ({"safe": 10, "unsafe": 10}, [], "found 0 of na.\n.*--without na makes a judge that never answers so"),
        ({"safe": 10, "unsafe": 10, "na": 3}, ["na"], "--without na: there are 3 responses of it"),
        ({"safe": 10, "unsafe": 10}, ["A"], "--without A: expected one of safe, unsafe, na"),
    ],
)
def test_labels_with_too_few_responses(counts: dict[str, int], without: list[str], message: str) -> None:
    examples = tuple(Example(f"{label} {at}", label, 1) for label, count in counts.items() for at in range(count))
    with pytest.raises(UserError, match=message):
        check_labels(Labelled("alignment", examples, (), False), without)
