"""Was an ability kept? Not "no significant difference", which too little data always give, but a verdict against a margin.

The margin is the loss that one is ready to accept, stated beforehand. With the 95 % interval of the change, a gain being
positive:

- ``retained``: the whole interval lies above -margin: a loss as large as the margin is ruled out (non-inferiority);
- ``degraded``: the whole interval lies below -margin: the loss is larger than the margin;
- ``undecided``: the interval holds -margin, or touches it: the data do not say which.

Each is a one-sided test at 2.5 %, for the interval leaves out that much at each end. An ability can be retained and
still have changed for the worse, by less than the margin. Source: Piaggio and others, "Reporting of noninferiority and
equivalence randomized trials", JAMA 308, 2012.
"""

from typing import Literal

Verdict = Literal["retained", "degraded", "undecided"]


def retention(low: float | None, high: float | None, margin: float, higher_is_better: bool = True) -> Verdict:
    """The verdict of an interval of the change; without an interval nothing is decided.

    Raises:
        ValueError: If the margin is not positive, or the interval is the wrong way round.
    """
    if not margin > 0:
        raise ValueError(f"expected a margin above 0, found {margin}")
    if low is None or high is None:
        return "undecided"
    if low > high:
        raise ValueError(f"expected an interval, found [{low}, {high}]")
    worst, best = (low, high) if higher_is_better else (-high, -low)
    if worst > -margin:
        return "retained"
    return "degraded" if best < -margin else "undecided"
