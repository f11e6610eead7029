"""What a judge that watched a training run saw: the share of right responses, by it and by the reward, and their drift."""

from typing import TYPE_CHECKING, Final

from harness_ext.common.errors import UserError
from harness_ext.report.page.training import Training
from harness_ext.report.page.training_figure import smoothed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What is drawn above, what it is called, and its colour.
_SHARES: Final = {
    "monitor/reward": ("the reward calls right", "#E69F00"),
    "monitor/right": ("the watching judge calls right", "#0072B2"),
}
_DRIFT, _ERROR = "monitor/drift", "monitor/drift_error"
_WARNING: Final = "#D55E00"


def is_watched(training: Training) -> bool:
    """Whether a judge watched the run, and it went on long enough for a curve."""
    return all(name in training.curves for name in _SHARES)


def draw_monitor(training: Training) -> "Figure":
    """The shares of every logged rollout with their moving averages, and below them the drift with two standard errors.

    Raises:
        UserError: No judge watched the run, or not for long enough.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not is_watched(training):
        raise UserError(f"{training.folder}: its log has no two rollouts that a judge watched after the first ones")
    figure = Figure(figsize=(9.0, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    shares, drift = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for name, (label, color) in _SHARES.items():
        steps, values = _columns(training, name)
        shares.plot(steps, values, color=color, linestyle="none", marker=".", markersize=3)
        shares.plot(steps, smoothed(values), color=color, linewidth=1.8, label=label)
    shares.set_ylim(-0.03, 1.03)
    shares.set_title("share of responses", loc="left", fontsize=10)
    _draw_drift(drift, training)
    for number, axes in enumerate((shares, drift)):
        for at in training.warnings:
            axes.axvline(at, color=_WARNING, linestyle="--", linewidth=1.2)
        if training.warnings and not number:
            axes.plot([], [], color=_WARNING, linestyle="--", linewidth=1.2, label="warning")
        axes.tick_params(labelsize=8)
        axes.grid(color="#EEEEEE")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    shares.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize=9, borderaxespad=0)
    drift.set_xlabel("optimiser step", fontsize=9)
    return figure


def _draw_drift(axes: "Axes", training: Training) -> None:
    axes.set_title(
        "drift since the first rollouts, two standard errors; dotted: what is warned of", loc="left", fontsize=10
    )
    if _DRIFT in training.curves:
        steps, values = _columns(training, _DRIFT)
        _, errors = _columns(training, _ERROR)
        below, above = ([v + sign * 2 * e for v, e in zip(values, errors, strict=True)] for sign in (-1, 1))
        axes.fill_between(steps, below, above, color="#D9D9D9", linewidth=0)
        axes.plot(steps, values, color="#333333", linewidth=1.6)
    if training.warns_beyond is not None:
        axes.axhline(training.warns_beyond, color="#999999", linestyle=":", linewidth=1.2)


def _columns(training: Training, name: str) -> tuple[list[float], list[float]]:
    return [step for step, _ in training.curves[name]], [value for _, value in training.curves[name]]
