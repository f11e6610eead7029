"""What a benchmark is said to show, held to simulated answers."""

from pathlib import Path

import numpy as np
import pytest
from own_folders import own_folder

from harness_ext.metrics.intervals import smallest_difference
from harness_ext.own import read
from harness_ext.own.power import BETWEEN_CONCEPTS, half_width, measure, measures


def simulated(answers: list[int], rng: np.random.Generator) -> float:
    """The accuracy of answers of which the share ``BETWEEN_CONCEPTS`` of the variance lies between concepts."""
    both = 1 / BETWEEN_CONCEPTS - 1
    chances = rng.beta(both / 2, both / 2, len(answers))
    return float(rng.binomial(answers, chances).sum() / sum(answers))


@pytest.mark.parametrize("answers", [[5] * 20, [1, 2, 30, 4, 50, 6, 7, 8, 9, 10, 3, 3], [40] * 6])
def test_the_standard_error_is_that_of_simulated_answers(answers):
    rng = np.random.default_rng(0)
    spread = np.std([simulated(answers, rng) for _ in range(4000)])
    from scipy.stats import t

    found = half_width(answers, 0.25)
    assert found is not None and found / t.ppf(0.975, len(answers) - 1) == pytest.approx(spread, rel=0.05)


def test_the_papers_model_has_the_interval_that_is_published():
    from harness_ext.unsafeconcepts.splits import unsafe_split
    from harness_ext.unsafeconcepts.taxonomy import CONCEPTS

    names = [concept.name for concept in CONCEPTS for _ in range(concept.images)]
    tested = [names[row] for row in unsafe_split().test]
    found = half_width([tested.count(name) for name in set(tested)], 0.267 * (1 - 0.267))
    assert found == pytest.approx((0.347 - 0.191) / 2, abs=0.002)


def test_more_images_help_little_and_more_concepts_much():
    few, more_images, more_concepts = (half_width(each, 0.25) for each in ([10] * 10, [1000] * 10, [10] * 40))
    assert few is not None and more_images is not None and more_concepts is not None
    assert 0.8 * few < more_images < few and more_concepts < 0.5 * few
    assert half_width([10], 0.25) is None and half_width([], 0.25) is None


def test_could_show_is_what_compare_says_of_such_an_interval():
    found = measure("Image", "unsafe", [10] * 10)
    change = half_width([10] * 10, 0.2)
    assert change is not None and found.could_show == smallest_difference((-change, change))
    assert measure("Image", "unsafe", [10]).could_show is None


def test_the_measures_of_a_benchmark(tmp_path: Path):
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
