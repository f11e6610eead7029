"""Tango's score interval for the difference of two shares of right answers to the same questions.

It holds where few answers differ, or none, which is where resampling breaks down: with nothing changed among ``n`` questions
it is plus or minus z² / (n + z²). Source: Tango, Statistics in Medicine 17, 1998, equations 9 to 12.
"""

from math import sqrt
from typing import Final

from harness_ext.metrics.intervals import CONFIDENCE, Interval

_TOLERANCE: Final = 1e-12


def tango(gained: float, lost: float, questions: float, confidence: float = CONFIDENCE) -> Interval:
    """The interval of (gained - lost) / questions.

    Args:
        gained: Questions that only the second model has right; may be a fraction, as shares of units are.
        lost: Questions that only the first model has right.
        questions: All questions.
        confidence: How sure to be.

    Raises:
        ValueError: If the counts do not fit into one another.
    """
    if min(gained, lost) < 0 or questions <= 0 or gained + lost > questions * (1 + 1e-9):
        raise ValueError(f"expected counts of {questions} questions, found {gained} gained and {lost} lost")
    from scipy.optimize import brentq
    from scipy.stats import norm

    limit = float(norm.ppf((1 + confidence) / 2))
    found = (gained - lost) / questions

    def excess(difference: float) -> float:
        """How far the data are, in standard errors under this true difference, minus how far they may be."""
        distance = abs(gained - lost - questions * difference)
        return distance / sqrt(_variance(gained, lost, questions, difference)) - limit

    edge = 1 - _TOLERANCE
    low = float(brentq(excess, -edge, found)) if found > -edge and excess(-edge) > 0 else -1.0
    high = float(brentq(excess, found, edge)) if found < edge and excess(edge) > 0 else 1.0
    return low, high


def _variance(gained: float, lost: float, questions: float, difference: float) -> float:
    """Of ``gained - lost`` where the true difference of the shares is this one (the rest estimated by likelihood)."""
    # Tango names the pairs that only the first has right b: here a positive difference is a gain.
    a = 2 * questions
    b = -gained - lost + (2 * questions - gained + lost) * difference
    c = -lost * difference * (1 - difference)
    share_lost = (sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    return max(questions * (2 * share_lost + difference * (1 - difference)), _TOLERANCE)
