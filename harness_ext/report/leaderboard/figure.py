"""A leaderboard as a picture: for each row, accuracy on unsafe concepts in text and as images, and the gap between."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from harness_ext.common.errors import UserError
from harness_ext.report.figure import IMAGE, TEXT
from harness_ext.report.leaderboard.entry import Metric
from harness_ext.report.leaderboard.tables import Row, Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BAND: Final = "#D9D9D9"
_LINE: Final = 0.42
_ABOVE: Final = 0.95
_BELOW: Final = 0.65


def draw(found: Sequence[Setting]) -> "Figure":
    """One panel a setting; figures of two settings share no axes. Raises ``UserError`` where there is nothing to draw."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [(each, rows) for each in found if (rows := [row for row in each.rows if _drawn(row)])]
    if not panels:
        raise UserError("no line has text_unsafe or image_unsafe, which the figure is about")
    heights = [_ABOVE + _LINE * len(rows) + _BELOW for _, rows in panels]
    figure = Figure(figsize=(10.0, sum(heights)))
    FigureCanvasAgg(figure)
    top = sum(heights)
    for (setting, rows), height in zip(panels, heights, strict=True):
        # Laid out by hand, in inches: a panel is as high as it has rows.
        bottom = (top - height + _BELOW) / sum(heights)
        axes = figure.add_axes((0.27, bottom, 0.58, _LINE * len(rows) / sum(heights)))
        _panel(axes, setting, rows)
        top -= height
    return figure


def _drawn(row: Row) -> bool:
    return row.mean("image_unsafe") is not None or row.mean("text_unsafe") is not None


def _panel(axes: "Axes", setting: Setting, rows: Sequence[Row]) -> None:
    for position, row in enumerate(rows):
        _row(axes, position, row)
    axes.set_yticks(range(len(rows)), [textwrap.fill(row.name, 30) for row in rows], fontsize=10)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(-0.02, 1.02)
    axes.grid(axis="x", color="#EEEEEE")
    axes.set_axisbelow(True)
    for edge in ("top", "right", "left"):
        axes.spines[edge].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("accuracy on unsafe concepts", fontsize=9)
    axes.annotate(
        "gap", (1.12, 1.0), xycoords="axes fraction", ha="right", va="bottom", fontsize=10, annotation_clip=False
    )
    axes.set_title(textwrap.fill(setting.title, 95), fontsize=10, fontweight="bold", loc="left", x=-0.45, pad=30)
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3, ncols=2, frameon=False, fontsize=9, handles=_marks()
    )


def _row(axes: "Axes", position: int, row: Row) -> None:
    text, image, gap = row.mean("text_unsafe"), row.mean("image_unsafe"), row.mean("gap")
    if text is not None and image is not None:
        axes.barh(position, abs(text - image), left=min(text, image), height=0.5, color=_BAND, zorder=1)
    sides: tuple[tuple[Metric, str, str], ...] = (("text_unsafe", TEXT, "o"), ("image_unsafe", IMAGE, "s"))
    for metric, colour, mark in sides:
        if (mean := row.mean(metric)) is not None:
            if ends := _ends(row, metric):
                axes.plot(ends, [position] * 2, color=colour, linewidth=2, zorder=3)
            axes.plot(mean, position, mark, color=colour, markersize=7, zorder=4)
    said = "none" if gap is None else f"{gap:+.4f}"
    axes.annotate(
        said,
        (1.12, position),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="center",
        fontsize=10,
        annotation_clip=False,
    )


def _ends(row: Row, metric: Metric) -> list[float]:
    """The interval of a single run; the least and the greatest of several."""
    scores = [entry.scores[metric] for entry in row.entries]
    if len(scores) > 1:
        return [min(score.value for score in scores), max(score.value for score in scores)]
    low, high = scores[0].low, scores[0].high
    return [] if low is None or high is None else [low, high]


def _marks() -> list[object]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], marker="o", color=TEXT, linewidth=2, markersize=7, label="in text"),
        Line2D([], [], marker="s", color=IMAGE, linewidth=2, markersize=7, label="as images"),
    ]
