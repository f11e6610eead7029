"""Calibration as a picture: how often answers by likelihood are right, against how sure they are, one panel a probe."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness_ext.common.errors import UserError
from harness_ext.report.cells import estimated
from harness_ext.report.figure import write_figure
from harness_ext.report.likelihood_table import ROWS
from harness_ext.report.scores import ProbeLikelihood, Summary
from harness_ext.report.table import title
from harness_ext.runs.load import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# As in the figure of the modality gap, whose marks mean the same probes.
_LOOKS: Final = {
    "perception": ("#333333", "D"),
    "image": ("#D55E00", "s"),
    "text": ("#0072B2", "o"),
    "text_blank": ("#56B4E9", "^"),
}
_PANEL: Final = 3.6
_LEFT, _RIGHT, _BETWEEN, _BELOW = 0.75, 0.3, 0.35, 0.75


def save_calibration(run: Run, summary: Summary, path: Path) -> None:
    """Draw the figure and write it to ``path`` (a name ending in .png) and as SVG beside it.

    Raises:
        UserError: If the run has no answers by likelihood.
    """
    write_figure(lambda: draw_calibration(run, summary), path)


def draw_calibration(run: Run, summary: Summary, titled: bool = True) -> "Figure":
    """The reliability curves of the probes that were asked by likelihood; raises ``UserError`` if none was."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if summary.likelihood is None:
        raise UserError(
            f"the calibration is that of answers by likelihood, and the run has none: evaluate {run.source}_likelihood"
        )
    probes = summary.likelihood.probes
    width = _LEFT + len(probes) * _PANEL + (len(probes) - 1) * _BETWEEN + _RIGHT
    heading = textwrap.wrap(title(run), round(7 * width), break_on_hyphens=False) if titled else []
    height = _BELOW + _PANEL + 0.8 + 0.25 * len(heading)
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    for position, (name, probe) in enumerate(probes.items()):
        left = _LEFT + position * (_PANEL + _BETWEEN)
        axes = figure.add_axes((left / width, _BELOW / height, _PANEL / width, _PANEL / height))
        _panel(axes, name, probe, first=position == 0)
    # A dollar sign in a model's arguments is no formula.
    figure.suptitle("\n".join(heading), fontsize=13, fontweight="bold", y=1 - 0.15 / height, parse_math=False)
    figure.text(
        (_LEFT + (width - _LEFT - _RIGHT) / 2) / width,
        0.12 / height,
        "mean confidence of a tenth of the answers; bars: 95 % interval by resampling concepts",
        ha="center",
        fontsize=10,
    )
    return figure


def _panel(axes: "Axes", name: str, probe: ProbeLikelihood, first: bool) -> None:
    colour, mark = _LOOKS[name]
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    points = [point for point in probe.reliability if point.accuracy.n_answers]
    for point in points:
        low, high = point.accuracy.low, point.accuracy.high
        if low is not None and high is not None:
            axes.plot([point.confidence] * 2, [low, high], color=colour, linewidth=2, alpha=0.5, zorder=3)
    axes.plot(
        [point.confidence for point in points],
        [point.accuracy.value for point in points],
        marker=mark,
        color=colour,
        linewidth=1.2,
        markersize=7,
        zorder=4,
        # At a confidence of 1, half a mark would be missing.
        clip_on=False,
    )
    axes.set_title(f"{ROWS[name]}\nECE {' '.join(estimated(probe.calibration_error))}", fontsize=11)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    axes.grid(color="#EEEEEE", zorder=0)
    axes.set_axisbelow(True)
    for edge in ("top", "right"):
        axes.spines[edge].set_visible(False)
    if first:
        axes.set_ylabel("accuracy", fontsize=10)
    else:
        axes.set_yticklabels([])
