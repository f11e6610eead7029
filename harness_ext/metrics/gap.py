"""The modality gap: text-only alignment accuracy minus image alignment accuracy, on the same concepts.

Two estimators, both reported, because they answer different questions:

- ``pooled`` pools the answers of each side, so that it is the difference of the two printed accuracies (restricted to
  the concepts that both sides have). On the image side a concept weighs as much as it has images.
- ``by_concept`` is the mean over concepts of the paired difference. Each concept weighs the same.

Term and pooling: Qu, Backes, Zhang, USENIX Security 2025, arXiv 2507.11155. Interval: ``intervals.py``; a resampled
concept brings its text and its image answers along. Where no concept differs from another on either side, the interval
is the conservative one described there, over the range -1 to 1. Where only one side is constant, the interval holds the
other side's spread alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from harness_ext.metrics.accuracy import NaConvention, count_by_concept
from harness_ext.metrics.estimate import Estimate
from harness_ext.metrics.intervals import SEED, Array, concept_interval, difference_of_ratios, mean
from harness_ext.metrics.records import Judgement

_BOUNDS = (-1.0, 1.0)


@dataclass(frozen=True)
class Gap:
    """The modality gap by both estimators.

    Attributes:
        pooled: Difference of the pooled accuracies over the common concepts.
        by_concept: Mean over the common concepts of the difference of their accuracies.
        unpaired_concepts: Concepts left out because only one side has an answer that counts.
    """

    pooled: Estimate
    by_concept: Estimate
    unpaired_concepts: int


def modality_gap(text: Sequence[Judgement], image: Sequence[Judgement], na: NaConvention, seed: int = SEED) -> Gap:
    """Text-only minus image accuracy over the concepts that have answers that count, under ``na``, on both sides.

    Both values are nan, without an interval, when the sides share no concept.

    Raises:
        ValueError: If a record is on the wrong side (``probe`` is not ``"text"``, respectively ``"image"``).
    """
    for side, records in (("text", text), ("image", image)):
        if wrong := {record.probe for record in records} - {side}:
            raise ValueError(f"the {side} side of the modality gap takes {side} answers only, found {sorted(wrong)}")
    text_counts, image_counts = count_by_concept(text, na), count_by_concept(image, na)
    common = [concept for concept in text_counts if concept in image_counts]
    unpaired = len(text_counts.keys() ^ image_counts.keys())
    if not common:
        nothing = Estimate(nan, None, None, 0, 0)
        return Gap(nothing, nothing, unpaired)

    sides = [[counts[concept] for concept in common] for counts in (text_counts, image_counts)]
    arrays = [
        np.array(values, dtype=float)
        for side in sides
        for values in ([counted.correct for counted in side], [counted.total for counted in side])
    ]
    text_accuracy, image_accuracy = arrays[0] / arrays[1], arrays[2] / arrays[3]
    # A difference of two floats is rounded: equal differences must compare as equal.
    differences = np.round(text_accuracy - image_accuracy, 12)
    answers = int(arrays[1].sum() + arrays[3].sum())
    pooled = concept_interval(difference_of_ratios, arrays, (text_accuracy, image_accuracy), _BOUNDS, seed)
    by_concept = concept_interval(mean, (differences,), (differences,), _BOUNDS, seed)
    return Gap(
        _estimate(difference_of_ratios(*arrays), pooled, differences, answers),
        _estimate(mean(differences), by_concept, differences, answers),
        unpaired,
    )


def _estimate(value: float, interval: tuple[float, float] | None, concepts: Array, answers: int) -> Estimate:
    low, high = interval or (None, None)
    return Estimate(float(value), low, high, len(concepts), answers)
