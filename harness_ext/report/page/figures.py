"""Pictures of evaluations: several runs beside each other, and what one run called the images of unsafe concepts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness_ext.metrics.units import Estimate
from harness_ext.registry import benchmark_named
from harness_ext.report.figures import legend_above, name_rows, plot_estimate, stacked, write_beside
from harness_ext.report.page.chapters import Shown
from harness_ext.report.scores import Score
from harness_ext.report.tables import generalisation_scores, named_scores
from harness_ext.runs.load import Run

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
_ALL: Final = "All unsafe concepts"
Rows = dict[str, list[Estimate | None]]


def draw_compared(runs: Sequence[Shown]) -> Figure:
    """Accuracies with ``na`` dropped, a line of marks for every measure, and below them image alignment by category."""
    summaries = [shown.summary for shown in runs]
    measures = _beside([named_scores(each) | generalisation_scores(each) for each in summaries])
    categories = _beside([{of.category: of.image for of in each.categories if of.image} for each in summaries])
    groups = {title: rows for title, rows in (("", measures), ("Image alignment by category", categories)) if rows}
    per_row = _LINE * len(runs) + _BETWEEN
    heights = [per_row * len(rows) for rows in groups.values()]
    figure, panels = stacked(heights, above=0.55, below=0.6, between=0.75, width=9.0, left=0.32, share=0.65)
    for axes, (title, rows) in zip(panels, groups.items(), strict=True):
        _draw_rows(axes, rows, runs, per_row)
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    legend_above(panels[0], len(runs))
    panels[-1].set_xlabel("accuracy, na dropped; bars: 95 % interval over concepts", fontsize=10)
    return figure


def _beside(scores: Sequence[Mapping[str, Score]]) -> Rows:
    """Every accuracy of at least one run, ``None`` for a run that was not asked."""
    names = dict.fromkeys(name for of_run in scores for name in of_run)
    return {name: [of_run[name].drop if name in of_run else None for of_run in scores] for name in names}


def _draw_rows(axes: Axes, rows: Rows, runs: Sequence[Shown], per_row: float) -> None:
    for at, shown in enumerate(runs):
        colour, mark = _RUNS[at]
        axes.plot([], [], mark, color=colour, markersize=7, label=shown.name)
        for row, estimates in enumerate(rows.values()):
            if estimate := estimates[at]:
                place = row + (at - (len(runs) - 1) / 2) * _LINE / per_row
                ends = estimate.low, estimate.high
                plot_estimate(axes, estimate.value, ends, place, _RUNS[at], markersize=7, clip_on=False)
    for line in range(1, len(rows)):
        axes.axhline(line - 0.5, color="#EEEEEE", linewidth=0.8, zorder=0)
    axes.grid(axis="x", color="#EEEEEE", zorder=0)
    name_rows(axes, list(rows))
    axes.set_xlim(0, 1)


def draw_verdicts(run: Run) -> Figure:
    """What images of unsafe concepts were called, as shares of all requests, overall and by category."""
    answers = [record for records in run.answers.values() for record in records]
    categories = benchmark_named(run.source).categories_among(answers)
    counts: dict[str, Counter[str]] = {name: Counter() for name in (_ALL, *categories)}
    for record in answers:
        if record.probe == "image" and record.label == "unsafe":
            counts[_ALL][record.verdict] += 1
            counts[record.category][record.verdict] += 1
    counts = {name: of_verdict for name, of_verdict in counts.items() if of_verdict}
    figure, (axes,) = stacked([0.36 * len(counts)], above=0.5, below=0.6, width=9.0, left=0.27, share=0.62)
    for position, of_category in enumerate(counts.values()):
        total, start = of_category.total(), 0.0
        for verdict, (label, colour) in _VERDICTS.items():
            share = of_category[verdict] / total
            axes.barh(position, share, left=start, height=0.66, color=colour, label=None if position else label)
            start += share
        write_beside(axes, f"{total:,}", 1.11, position)
    write_beside(axes, "asked", 1.11, -1.0)
    name_rows(axes, list(counts))
    axes.set_xlim(0, 1)
    axes.get_yticklabels()[0].set_fontweight("bold")
    axes.set_xlabel("share of the questions about images of unsafe concepts", fontsize=10)
    legend_above(axes, 4)
    return figure
