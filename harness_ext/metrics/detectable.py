"""The smallest difference that the data could have shown: what "no difference shown" is worth.

If the true change were this large, an interval as wide as the one found would leave out zero in 80 % of evaluations
(power 80 %, two-sided alpha 5 %, before any correction for several tests): (z of 97.5 % + z of 80 %) standard errors,
2.80 of them, where the standard error is the interval's half width over z of 97.5 %. That is 1.43 half widths. It is also
the smallest margin against which an ability that did not change at all would be called retained in 80 % of evaluations.

Source: Bloom, Evaluation Review 19, 1995 ("minimum detectable effects"). It rests on the spread seen, not on the change seen.
"""

from typing import Final

from harness_ext.metrics.intervals import CONFIDENCE, Interval

POWER: Final = 0.8
ALPHA: Final = 1 - CONFIDENCE


def smallest_difference(interval: Interval | None) -> float | None:
    """From the change's interval; ``None`` where it has none."""
    if interval is None:
        return None
    from scipy.stats import norm

    z, z_power = norm.ppf((1 + CONFIDENCE) / 2), norm.ppf(POWER)
    low, high = interval
    return float((high - low) / 2 * (z + z_power) / z)
