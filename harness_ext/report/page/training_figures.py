"""A training run's log as pictures: a small panel for each logged figure, and what a judge that watched the run saw."""

import math
from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness_ext.report.page.training import Curve, Training

# The logged figures that are drawn, in this order, and their titles; trainer_state.json holds the rest of a log.
_PANELS: Final = {
    "reward": "reward",
    "rewards/verdict/unsafe": "share of answers “unsafe”",
    "rewards/verdict/na": "share of answers na",
    "rewards/accuracies": "chosen preferred",
    "rewards/margins": "reward margin",
    "ppo/kl": "KL to the start policy",
    "kl": "KL to the start policy",
    "entropy": "entropy",
    "ppo/explained_variance": "explained variance",
    "mean_token_accuracy": "token accuracy",
    "loss": "loss",
    "grad_norm": "gradient norm",
    "completions/mean_length": "tokens a response",
}
_COLUMNS: Final = 3
_SMOOTHED: Final = 0.9
# The watched shares, with their labels and colours.
_SHARES: Final = {
    "monitor/reward": ("the reward calls right", "#E69F00"),
    "monitor/right": ("the watching judge calls right", "#0072B2"),
}
_DRIFT, _ERROR = "monitor/drift", "monitor/drift_error"
_WARNING: Final = {"color": "#D55E00", "linestyle": "--", "linewidth": 1.2}


def panels(training: Training) -> dict[str, Curve]:
    """The curves that are drawn, by title."""
    return {title: training.curves[name] for name, title in _PANELS.items() if name in training.curves}


def draw_training(training: Training) -> Figure:
    """Every logged point of the :func:`panels`, of which there is one at least, and an exponential moving average."""
    curves = panels(training)
    rows = math.ceil(len(curves) / _COLUMNS)
    figure = Figure(figsize=(9.0, 1.9 * rows + 0.2), layout="constrained")
    for position, (title, curve) in enumerate(curves.items()):
        axes = figure.add_subplot(rows, _COLUMNS, position + 1)
        steps, values = zip(*curve, strict=True)
        axes.plot(steps, values, color="#56B4E9", linewidth=0.8)
        axes.plot(steps, smoothed(values), color="#0072B2", linewidth=1.6)
        _dress(axes, title)
        if position >= len(curves) - _COLUMNS:
            axes.set_xlabel("optimiser step", fontsize=9)
    return figure


def smoothed(values: Sequence[float]) -> list[float]:
    """The moving average with weights that fall by a tenth a point, unbiased from the first one; skips nan and infinity."""
    total, weight, means = 0.0, 0.0, []
    for value in values:
        if math.isfinite(value):
            total, weight = _SMOOTHED * total + (1 - _SMOOTHED) * value, _SMOOTHED * weight + 1 - _SMOOTHED
        means.append(total / weight if weight else math.nan)
    return means


def is_watched(training: Training) -> bool:
    """Whether a judge watched the run for long enough to draw a curve."""
    return all(name in training.curves for name in _SHARES)


def draw_monitor(training: Training) -> Figure:
    """A watched run: the shares of its rollouts with moving averages, and below them the drift with two standard errors."""
    figure = Figure(figsize=(9.0, 4.6), layout="constrained")
    shares, drift = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for name, (label, color) in _SHARES.items():
        steps, values = zip(*training.curves[name], strict=True)
        shares.plot(steps, values, color=color, linestyle="none", marker=".", markersize=3)
        shares.plot(steps, smoothed(values), color=color, linewidth=1.8, label=label)
    shares.set_ylim(-0.03, 1.03)
    _dress(shares, "share of responses")
    _draw_drift(drift, training)
    for axes in (shares, drift):
        for at in training.warnings:
            axes.axvline(at, **_WARNING)
    if training.warnings:
        shares.plot([], [], label="warning", **_WARNING)
    shares.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize=9, borderaxespad=0)
    drift.set_xlabel("optimiser step", fontsize=9)
    return figure


def monitor_figures(training: Training) -> dict[str, object]:
    """The numbers of :func:`draw_monitor`, as JSON: each curve as [optimiser step, value] pairs, not-a-number as null."""
    curves = {name: training.curves.get(name, ()) for name in (*_SHARES, _DRIFT, _ERROR)}
    return {
        "run": training.name,
        "source": training.source,
        "rewards": training.settings["rewards"],
        "watched_by": training.settings["watched by"],
        "warns_beyond": training.warns_beyond,
        "warning_steps": training.warnings,
        "curves": {
            name: [(step, value if math.isfinite(value) else None) for step, value in curve]
            for name, curve in curves.items()
        },
    }


def _draw_drift(axes: Axes, training: Training) -> None:
    _dress(axes, "drift since the first rollouts, two standard errors; dotted: what is warned of")
    if _DRIFT in training.curves:
        steps, values = zip(*training.curves[_DRIFT], strict=True)
        _, errors = zip(*training.curves[_ERROR], strict=True)
        below, above = ([v + sign * 2 * e for v, e in zip(values, errors, strict=True)] for sign in (-1, 1))
        axes.fill_between(steps, below, above, color="#D9D9D9", linewidth=0)
        axes.plot(steps, values, color="#333333", linewidth=1.6)
    if training.warns_beyond is not None:
        axes.axhline(training.warns_beyond, color="#999999", linestyle=":", linewidth=1.2)


def _dress(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10)
    axes.tick_params(labelsize=8)
    axes.grid(color="#EEEEEE")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
