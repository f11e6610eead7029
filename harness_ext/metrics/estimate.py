"""A number with its interval and with what it rests on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A metric's value and its 95 % interval.

    Attributes:
        value: The metric; nan when no answer counts.
        low: Lower end of the interval, or ``None`` when there is none (fewer than two concepts).
        high: Upper end, or ``None``.
        n_concepts: The number of concepts with at least one answer that counts: what the interval resamples.
        n_answers: The number of answers in the metric's denominators.
    """

    value: float
    low: float | None
    high: float | None
    n_concepts: int
    n_answers: int
