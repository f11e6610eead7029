"""Several runs as a picture: what each was measured to do, beside each other, overall and by category."""

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING, Final

from harness_ext.common.errors import UserError
from harness_ext.metrics.units import Estimate
from harness_ext.report.generalisation_table import generalisation_scores
from harness_ext.report.page.runs import Shown
from harness_ext.report.table import named_scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, and a mark for each, for eight runs.
LOOKS: Final = (
    ("#333333", "o"),
    ("#D55E00", "s"),
    ("#0072B2", "D"),
    ("#009E73", "^"),
    ("#CC79A7", "v"),
    ("#E69F00", "P"),
    ("#56B4E9", "X"),
    ("#999999", "*"),
)
_LINE: Final = 0.19
_BETWEEN: Final = 0.16
Rows = dict[str, list[Estimate | None]]


def draw_compared(runs: Sequence[Shown]) -> "Figure":
    """Accuracies with ``na`` dropped, a line of marks for every measure, and below them image alignment by category.

    Raises:
        UserError: There is nothing that any of the runs was asked.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups = {"": measures(runs), "Image alignment by category": categories(runs)}
    groups = {title: rows for title, rows in groups.items() if rows}
    if not groups:
        raise UserError("the runs hold no generated answers to draw beside each other")
    per_row = _LINE * len(runs) + _BETWEEN
    heights = [per_row * len(rows) for rows in groups.values()]
    above, below, between = 0.55, 0.6, 0.75
    height = above + sum(heights) + between * (len(groups) - 1) + below
    figure = Figure(figsize=(9.0, height))
    FigureCanvasAgg(figure)
    top = above
    for position, ((title, rows), tall) in enumerate(zip(groups.items(), heights, strict=True)):
        axes = figure.add_axes((0.32, 1 - (top + tall) / height, 0.65, tall / height))
        _draw_rows(axes, rows, runs, per_row)
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        if position == 0:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(runs), frameon=False, fontsize=10)
        top += tall + between
    axes.set_xlabel("accuracy, na dropped; bars: 95 % interval by resampling concepts", fontsize=10)
    return figure


def measures(runs: Sequence[Shown]) -> Rows:
    """Every accuracy of at least one run, ``None`` for a run that was not asked."""
    scores = [{**named_scores(shown.summary), **generalisation_scores(shown.summary)} for shown in runs]
    names = list(dict.fromkeys(name for each in scores for name in each))
    return {name: [each[name].drop if name in each else None for each in scores] for name in names}


def categories(runs: Sequence[Shown]) -> Rows:
    """Image alignment on the unsafe concepts of every category."""
    of_run = [{each.category: each.image for each in shown.summary.categories if each.image} for shown in runs]
    names = list(dict.fromkeys(name for each in of_run for name in each))
    return {name: [each[name].drop if name in each else None for each in of_run] for name in names}


def _draw_rows(axes: "Axes", rows: Rows, runs: Sequence[Shown], per_row: float) -> None:
    for at, shown in enumerate(runs):
        colour, mark = LOOKS[at]
        axes.plot([], [], mark, color=colour, markersize=7, label=shown.name)
        for row, estimates in enumerate(rows.values()):
            estimate = estimates[at]
            if estimate is None or isnan(estimate.value):
                continue
            place = row + (at - (len(runs) - 1) / 2) * _LINE / per_row
            if estimate.low is not None and estimate.high is not None:
                axes.plot([estimate.low, estimate.high], [place] * 2, color=colour, linewidth=1.6, zorder=3)
            axes.plot(estimate.value, place, mark, color=colour, markersize=7, zorder=4, clip_on=False)
    axes.set_yticks(range(len(rows)), list(rows), fontsize=10)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    for line in range(1, len(rows)):
        axes.axhline(line - 0.5, color="#EEEEEE", linewidth=0.8, zorder=0)
    axes.grid(axis="x", color="#EEEEEE", zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
