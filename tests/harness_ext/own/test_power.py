"""What a benchmark is said to show, held to the intervals that the published answers have."""

import json
from pathlib import Path

import pytest
from own_folders import own_folder

from harness_ext.own import read
from harness_ext.own.power import measure, measures

REPOSITORY = Path(__file__).parents[3]


def test_the_papers_images_have_about_the_interval_of_its_published_answers() -> None:
    """Of TEST's unsafe images, whose accuracy is not the middling one assumed: the root of p(1 - p) is smaller there."""
    from harness_ext.unsafeconcepts.splits import unsafe_split
    from harness_ext.unsafeconcepts.taxonomy import CONCEPTS

    names = [concept.name for concept in CONCEPTS for _ in range(concept.images)]
    tested = [names[row] for row in unsafe_split().test]
    found = measure("TEST", "unsafe", [tested.count(name) for name in set(tested)])
    tables = json.loads((REPOSITORY / "results/published/tables.json").read_text())["tables"]
    published = tables["TEST: 690 images, one question each"]["original"]["unsafe"]
    half, value = (published["high"] - published["low"]) / 2, published["value"]
    assert (found.concepts, found.answers) == (published["n_concepts"], published["n_answers"])
    assert found.half_width == pytest.approx(half * 0.5 / (value * (1 - value)) ** 0.5, rel=0.1)


def test_more_images_help_little_and_more_concepts_much() -> None:
    few, more_images, more_concepts = (measure("Image", "unsafe", each) for each in ([10] * 10, [1000] * 10, [10] * 40))
    for name in ("half_width", "could_show"):
        wide = getattr(few, name)
        assert 0.75 * wide < getattr(more_images, name) < wide and getattr(more_concepts, name) < 0.6 * wide


def test_over_fewer_than_five_concepts_nothing_is_shown() -> None:
    found = measure("Image", "unsafe", [10] * 4)
    assert (found.concepts, found.answers, found.half_width, found.could_show) == (4, 40, None, None)
    assert measure("Image", "unsafe", []).half_width is None


def test_the_measures_of_a_benchmark(tmp_path: Path) -> None:
    found = {each.title: (each.concepts, each.answers) for each in measures(read(own_folder(tmp_path / "own")))}
    assert found == {
        "Perception, unsafe concepts": (4, 20),
        "Perception, safe concepts": (2, 10),
        "Image alignment, unsafe concepts": (4, 100),
        "Image alignment, safe concepts": (2, 50),
        "Text-only alignment, unsafe concepts": (4, 20),
        "Text-only alignment, safe concepts": (2, 10),
        "TEST, unsafe concepts": (4, 4),
        "TEST, safe concepts": (2, 2),
    }
