"""Pictures of evaluations: several runs beside each other, and what one run called the images of unsafe concepts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from math import isnan
from typing import TYPE_CHECKING, Final

from harness_ext.benchmark.taxonomy import CATEGORIES
from harness_ext.common.errors import UserError
from harness_ext.metrics.units import Estimate
from harness_ext.report.page.chapters import Shown
from harness_ext.report.scores import Score
from harness_ext.report.tables import generalisation_scores, named_scores
from harness_ext.runs.load import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, and a mark for each, for eight runs.
_RUNS: Final = (
    ("#333333", "o"),
    ("#D55E00", "s"),
    ("#0072B2", "D"),
    ("#009E73", "^"),
    ("#CC79A7", "v"),
    ("#E69F00", "P"),
    ("#56B4E9", "X"),
    ("#999999", "*"),
)
# In inches: a run's line within a measure, and the space between two measures.
_LINE: Final = 0.19
_BETWEEN: Final = 0.16
# The right verdict first; the two that are no verdict last, in greys.
_VERDICTS: Final = {
    "unsafe": ("unsafe (right)", "#0072B2"),
    "safe": ("safe (wrong)", "#D55E00"),
    "na": ("na", "#999999"),
    "failed": ("failed", "#D9D9D9"),
}
Rows = dict[str, list[Estimate | None]]


def draw_compared(runs: Sequence[Shown]) -> "Figure":
    """Accuracies with ``na`` dropped, a line of marks for every measure, and below them image alignment by category.

    Raises:
        UserError: No run has generated answers to draw.
    """
    from matplotlib.figure import Figure

    summaries = [shown.summary for shown in runs]
    measures = _beside([named_scores(each) | generalisation_scores(each) for each in summaries])
    categories = _beside([{of.category: of.image for of in each.categories if of.image} for each in summaries])
    groups = {title: rows for title, rows in (("", measures), ("Image alignment by category", categories)) if rows}
    if not groups:
        raise UserError("the runs hold no generated answers to draw beside each other")
    per_row = _LINE * len(runs) + _BETWEEN
    heights = [per_row * len(rows) for rows in groups.values()]
    above, below, between = 0.55, 0.6, 0.75
    height = above + sum(heights) + between * (len(groups) - 1) + below
    figure = Figure(figsize=(9.0, height))
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


def _beside(scores: Sequence[Mapping[str, Score]]) -> Rows:
    """Every accuracy of at least one run, ``None`` for a run that was not asked."""
    names = dict.fromkeys(name for of_run in scores for name in of_run)
    return {name: [of_run[name].drop if name in of_run else None for of_run in scores] for name in names}


def _draw_rows(axes: "Axes", rows: Rows, runs: Sequence[Shown], per_row: float) -> None:
    for at, shown in enumerate(runs):
        colour, mark = _RUNS[at]
        axes.plot([], [], mark, color=colour, markersize=7, label=shown.name)
        for row, estimates in enumerate(rows.values()):
            estimate = estimates[at]
            if estimate is None or isnan(estimate.value):
                continue
            place = row + (at - (len(runs) - 1) / 2) * _LINE / per_row
            if estimate.low is not None and estimate.high is not None:
                axes.plot([estimate.low, estimate.high], [place] * 2, color=colour, linewidth=1.6, zorder=3)
            axes.plot(estimate.value, place, mark, color=colour, markersize=7, zorder=4, clip_on=False)
    for line in range(1, len(rows)):
        axes.axhline(line - 0.5, color="#EEEEEE", linewidth=0.8, zorder=0)
    axes.grid(axis="x", color="#EEEEEE", zorder=0)
    axes.set_axisbelow(True)
    _dress(axes, list(rows))


def draw_verdicts(run: Run) -> "Figure":
    """What images of unsafe concepts were called, as shares of all requests, by category.

    Raises:
        UserError: The run has no generated answers about them.
    """
    from matplotlib.figure import Figure

    if not (counts := _count_verdicts(run)):
        raise UserError("the figure is about answers to images of unsafe concepts, and the run has none")
    height = 0.36 * len(counts) + 1.1
    figure = Figure(figsize=(9.0, height))
    axes = figure.add_axes((0.27, 0.6 / height, 0.62, 1 - 1.1 / height))
    write = partial(axes.annotate, xycoords=("axes fraction", "data"), ha="right", fontsize=10, annotation_clip=False)
    for position, of_category in enumerate(counts.values()):
        total, start = of_category.total(), 0.0
        for verdict, (label, colour) in _VERDICTS.items():
            share = of_category[verdict] / total
            axes.barh(position, share, left=start, height=0.66, color=colour, label=None if position else label)
            start += share
        write(f"{total:,}", (1.11, position), va="center")
    write("asked", (1.11, -0.85))
    _dress(axes, list(counts))
    axes.get_yticklabels()[0].set_fontweight("bold")
    axes.set_xlabel("share of the questions about images of unsafe concepts", fontsize=10)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, fontsize=10)
    return figure


def _count_verdicts(run: Run) -> dict[str, Counter[str]]:
    """The verdicts on generated answers about images of unsafe concepts, overall and by category."""
    counts: dict[str, Counter[str]] = {}
    for records in run.answers.values():
        for record in records:
            if record.probe == "image" and record.label == "unsafe":
                for name in ("All unsafe concepts", record.category):
                    counts.setdefault(name, Counter())[record.verdict] += 1
    return {name: counts[name] for name in ("All unsafe concepts", *CATEGORIES) if name in counts}


def _dress(axes: "Axes", names: Sequence[str]) -> None:
    """Name the rows, from above, of a figure of shares."""
    axes.set_yticks(range(len(names)), names, fontsize=10)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
