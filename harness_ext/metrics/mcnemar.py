"""McNemar's exact test: do two models differ in how often they are right, on the same questions?

Only the questions that one model has right and the other wrong say anything. If the models were alike, each of these would
fall to either side as a coin does: the two-sided binomial test (McNemar, Psychometrika 12, 1947; exact form: Mosteller,
Biometrics 8, 1952).

It takes every question for an observation of its own. Five questions about one concept are not that: see ``swaps.py``,
which is the same test where they are.
"""

from scipy.stats import binomtest


def mcnemar(gained: int, lost: int) -> float:
    """The two-sided p-value.

    Args:
        gained: Questions that were wrong before and are right after.
        lost: Questions that were right before and are wrong after.

    Raises:
        ValueError: If a count is negative.
    """
    if min(gained, lost) < 0:
        raise ValueError(f"expected counts of questions, found {gained} gained and {lost} lost")
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
