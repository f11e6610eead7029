"""A training run's log as a picture: one small panel a figure."""

import math
from typing import TYPE_CHECKING, Final

from harness_ext.common.errors import UserError
from harness_ext.report.page.training import Curve, Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What is drawn, in this order, where the trainer logged it; what it is called; the rest of a log is in trainer_state.json.
PANELS: Final = {
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


def panels(training: Training) -> dict[str, Curve]:
    """The curves that are drawn, by title."""
    return {title: training.curves[name] for name, title in PANELS.items() if name in training.curves}


def draw_training(training: Training) -> "Figure":
    """Every logged point, and an exponential moving average; raises ``UserError`` if nothing was logged twice."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not (curves := panels(training)):
        raise UserError(f"{training.folder}: its log holds no curve to draw: it was logged less than twice")
    rows = math.ceil(len(curves) / _COLUMNS)
    figure = Figure(figsize=(9.0, 1.9 * rows + 0.2), layout="constrained")
    FigureCanvasAgg(figure)
    for position, (name, curve) in enumerate(curves.items()):
        axes = figure.add_subplot(rows, _COLUMNS, position + 1)
        steps, values = [step for step, _ in curve], [value for _, value in curve]
        axes.plot(steps, values, color="#56B4E9", linewidth=0.8)
        axes.plot(steps, smoothed(values), color="#0072B2", linewidth=1.6)
        axes.set_title(name, loc="left", fontsize=10)
        axes.tick_params(labelsize=8)
        axes.grid(color="#EEEEEE")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        if position >= len(curves) - _COLUMNS:
            axes.set_xlabel("optimiser step", fontsize=9)
    return figure


def smoothed(values: list[float]) -> list[float]:
    """The moving average whose weights fall by a tenth a point, right from its first one; nan and infinity do not count."""
    total, weight, means = 0.0, 0.0, []
    for value in values:
        if math.isfinite(value):
            total, weight = _SMOOTHED * total + (1 - _SMOOTHED) * value, _SMOOTHED * weight + 1 - _SMOOTHED
        means.append(total / weight if weight else math.nan)
    return means
