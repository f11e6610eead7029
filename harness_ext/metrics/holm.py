"""Holm's correction: several tests, and at most an ``alpha`` chance that any of those called significant is a false alarm.

The smallest p-value is multiplied by the number of tests, the next by one less, and so on, and none may end below a smaller
one. It asks nothing of how the tests depend on each other (Holm, Scandinavian Journal of Statistics 6, 1979).
"""

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """The adjusted p-values, in the order given.

    Raises:
        ValueError: If one is not a probability.
    """
    if wrong := [p for p in p_values if not 0 <= p <= 1]:
        raise ValueError(f"expected p-values between 0 and 1, found {wrong[0]}")
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = largest
    return adjusted
