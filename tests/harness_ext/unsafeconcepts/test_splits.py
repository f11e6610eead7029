"""The paper's split and drawn questions, held to the published answers by digests."""

import random
from collections import Counter
from hashlib import sha256

import numpy as np

from harness_ext.benchmark.splits import drawn_questions
from harness_ext.unsafeconcepts.splits import safe_split, unsafe_split
from harness_ext.unsafeconcepts.taxonomy import CONCEPTS

BENCHMARK = [concept.name for concept in CONCEPTS for _ in range(concept.images)]


def digest(rows, questions):
    lines = "".join(f"{row}:{question}\n" for row, question in zip(rows, questions, strict=True))
    return sha256(lines.encode()).hexdigest()


def test_test_is_the_published_one():
    # Facts: over "row:question" lines of the published answers, in their order; safe rows numbered on from 1567.
    unsafe, safe = unsafe_split().test, safe_split().test
    questions = drawn_questions(690)
    assert digest(unsafe, questions[:345]) == "9fc6b55e65377319b944824b95fdb089b3b64b1f5b5c7df0850e81ef275b6f76"
    both = [*unsafe, *(1567 + row for row in safe)]
    assert digest(both, questions) == "3eb56f1c2238c657ea6b9f89a6795bb4d3391761681f2cda36117865920f75f2"


def test_each_concept_and_the_safe_images_are_split_80_20():
    unsafe, safe = unsafe_split(), safe_split()
    assert sorted(unsafe.train + unsafe.test) == list(range(1567))
    trained = Counter(BENCHMARK[row] for row in unsafe.train)
    assert all(trained[concept.name] == int(0.8 * concept.images) for concept in CONCEPTS)
    assert {c.name for c in CONCEPTS} - trained.keys() == {c.name for c in CONCEPTS if c.images == 1}
    assert (len(unsafe.train), len(unsafe.test)) == (len(safe.train), len(safe.test)) == (1222, 345)
    assert len({*safe.train, *safe.test}) == 1222 + 345 and {*safe.train, *safe.test} < set(range(1800))


def test_questions_are_drawn_for_a_data_set_of_any_size():
    assert Counter(drawn_questions(690)) == {0: 149, 1: 126, 2: 123, 3: 149, 4: 143}
    # What a shorter data set is asked is the beginning of what a longer one is.
    assert drawn_questions(1800) == drawn_questions(2941)[:1800]
    assert drawn_questions(0) == []


def test_no_global_generator_is_touched():
    random.seed(1)
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist()
    unsafe_split(), safe_split(), drawn_questions(10)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    assert all(type(question) is int for question in drawn_questions(10))
