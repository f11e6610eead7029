"""The drift between a reward and a judge that watches, as pure functions of numbers.

Notation: ``s`` a response's reward, any finite number; ``m`` 1 where the judge calls the response right, else 0; ``r`` the
reward on the judge's scale, 0 to 1; ``d = r - m``. All are paired by response.

A reward and a judge are on different scales, and disagree from the start. So the reward is read at the *level* at which it
called as many of the run's first responses right as the judge did: ``r`` is 1 above it, 0 below, and at it the one share that
makes the mean of ``r`` that of ``m``. (Equipercentile equating at one cut: Kolen and Brennan, "Test Equating, Scaling, and
Linking", 2014, chapter 2.) Stretching or shifting a reward changes nothing, and both may come to be always right.

The *drift* is the mean of ``d`` over later rollouts; over the first ones it is 0. Where ``r`` is 0 or 1 it is McNemar's
``(b - c) / n``: b of n responses only the reward calls right, c only the judge. Its variance is that of ``d`` over the later
responses, plus that of the level's choice, by the jackknife over the first ones (Efron and Stein, Annals of Statistics 9,
1981).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.float64]
# A rollout's ``s`` and ``m``, each of shape (B,).
Pairs: TypeAlias = tuple[Numbers, Numbers]

# Steps in the range of the first rewards. Rewards that differ by less than half a step are alike, so that a classifier's
# confidence does not decide the level among rewards that mean the same verdict.
_STEPS: Final = 20
_ROUNDING: Final = 1e-6


@dataclass(frozen=True)
class Level:
    """The reward from which on a response counts as right: ``at`` steps of width ``step`` from ``top``, the highest.

    A response at the level counts by ``share``, 0 to 1.
    """

    top: float
    step: float
    at: float
    share: float

    def read(self, scores: Numbers) -> Numbers:
        """``r`` of the rewards ``scores``, both of shape (N,)."""
        steps = np.round((scores - self.top) / self.step)
        return np.where(steps == self.at, self.share, (steps > self.at).astype(float))


@dataclass(frozen=True)
class Drift:
    """The drift of the later rollouts.

    Attributes:
        reward: The share of their responses that the reward calls right, at its level.
        right: The share that the judge calls right.
        error: The standard error of the drift.
    """

    reward: float
    right: float
    error: float

    @property
    def drift(self) -> float:
        """The share that the reward calls right minus the share that the judge does; -1 to 1."""
        return self.reward - self.right

    @property
    def least(self) -> float:
        """The drift minus two standard errors."""
        return self.drift - 2 * self.error


def level(scores: Numbers, right: Numbers) -> Level:
    """The level at which as many are right by ``scores`` as by ``right``: ``s`` and ``m``, both of shape (N,), N > 0."""
    top = float(scores.max())
    step = max((top - float(scores.min())) / _STEPS, _ROUNDING * max(1.0, abs(top)))
    return _level(top, step, np.round((scores - top) / step), int(right.sum()))


def drift(first: Sequence[Pairs], now: Sequence[Pairs]) -> Drift:
    """The drift of ``now`` from ``first``, rollouts each.

    Raises:
        ValueError: There are fewer than two responses in one of them.
    """
    scores, right = pooled(now)
    first_scores, first_right = pooled(first)
    size = len(first_scores)
    if min(len(scores), size) < 2:
        raise ValueError(f"expected two responses each, found {size} and {len(scores)}")
    found = level(first_scores, first_right)
    read = found.read(scores)
    variance = float(np.var(read - right, ddof=1)) / len(scores)
    # The jackknife. Responses that are alike leave the same level when left out, so one of each kind is enough.
    steps = np.round((first_scores - found.top) / found.step)
    _, ones, counts = np.unique(np.stack([steps, first_right]), axis=1, return_index=True, return_counts=True)
    without = [
        _level(found.top, found.step, np.delete(steps, one), int(first_right.sum() - first_right[one])) for one in ones
    ]
    means = np.array([each.read(scores).mean() for each in without])
    mean = float((counts * means).sum()) / size
    variance += (size - 1) / size * float((counts * (means - mean) ** 2).sum())
    return Drift(float(read.mean()), float(right.mean()), sqrt(variance))


def pooled(rollouts: Sequence[Pairs]) -> Pairs:
    """The responses of several rollouts as those of one."""
    return np.concatenate([scores for scores, _ in rollouts]), np.concatenate([right for _, right in rollouts])


def _level(top: float, step: float, steps: Numbers, wanted: int) -> Level:
    """The level at which ``wanted`` of the rewards count, which lie so many ``steps``, shape (N,), from ``top``."""
    at = np.sort(steps)[::-1][max(wanted, 1) - 1]
    above, alike = int((steps > at).sum()), int((steps == at).sum())
    return Level(top, step, float(at), (wanted - above) / alike)
