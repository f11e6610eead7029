"""The modality gap as a picture: text against image accuracy on unsafe concepts, overall and by category."""

import io
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from harness_ext.benchmark.probes import TextVariant
from harness_ext.common.errors import UserError
from harness_ext.common.files import write_bytes
from harness_ext.metrics.units import Estimate
from harness_ext.report.cells import TEXT_TITLES
from harness_ext.report.scores import CategoryScores, Summary
from harness_ext.report.table import title
from harness_ext.runs.load import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours: told apart with any of the common colour vision deficiencies. The marks differ as well.
TEXT: Final = "#0072B2"
IMAGE: Final = "#D55E00"
_PERCEPTION: Final = "#333333"
_BAND: Final = "#D9D9D9"
_APART: Final = 0.17
# Where the columns beside the axes stand, in widths of the axes, and which of their sides stands there.
_COLUMNS: Final[tuple[tuple[float, Literal["left", "right"]], ...]] = ((1.10, "right"), (1.12, "left"), (1.44, "right"))


@dataclass(frozen=True)
class Line:
    """One line of the figure: an accuracy may be missing where nothing was asked."""

    name: str
    perception: Estimate | None
    image: Estimate | None
    text: Estimate | None
    gap: Estimate | None


def save_figure(run: Run, summary: Summary, path: Path) -> None:
    """Draw the figure and write it to ``path`` (a name ending in .png) and as SVG beside it.

    Raises:
        UserError: If the run has no alignment answers about unsafe concepts to draw.
    """
    write_figure(lambda: draw(run, summary), path)


def drawn(figures: Iterable[Path]) -> Iterator[Path]:
    """The files that :func:`write_figure` writes for each of ``figures``."""
    for path in figures:
        yield from (path, path.with_suffix(".svg"))


def write_figure(draw: Callable[[], "Figure"], path: Path) -> None:
    """Write what ``draw`` draws to ``path`` (a name ending in .png) and as SVG beside it.

    Raises:
        UserError: One of them cannot be written.
    """
    import matplotlib

    png, svg = io.BytesIO(), io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "unsafeconcepts", "svg.fonttype": "none"}):
        figure = draw()
        figure.savefig(png, format="png", dpi=200)
        # Without a date, the same answers give the same file.
        figure.savefig(svg, format="svg", metadata={"Date": None})
    for file, content in zip(drawn([path]), (png, svg), strict=True):
        write_bytes(file, content.getvalue())


def draw(run: Run, summary: Summary, titled: bool = True) -> "Figure":
    """The figure; accuracies and gaps with ``na`` dropped. Its title can be left to what stands around it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    variant: TextVariant | None = next(iter(summary.text), None)
    lines = figure_lines(summary, variant)
    heading = textwrap.wrap(title(run), 80) if titled else []
    below, above = 0.7, 0.8 + 0.25 * len(heading)
    height = below + 0.52 * len(lines) + above
    figure = Figure(figsize=(11.0, height))
    FigureCanvasAgg(figure)
    # Laid out by hand, in inches above and below: the automatic layouts do not see the columns beside the axes.
    axes = figure.add_axes((0.21, below / height, 0.52, 1 - (below + above) / height))
    for position, line in enumerate(lines):
        _draw_line(axes, position, line)
    _dress(axes, [line.name for line in lines], variant)
    # A dollar sign in a model's arguments is no formula.
    figure.suptitle("\n".join(heading), fontsize=13, fontweight="bold", y=1 - 0.15 / height, parse_math=False)
    return figure


def figure_lines(summary: Summary, variant: TextVariant | None) -> list[Line]:
    """The figure's lines, overall first. Raises ``UserError`` when there is nothing to draw."""
    text = summary.text.get(variant, {}) if variant else {}
    if "unsafe" not in summary.image and "unsafe" not in text:
        raise UserError("the figure is about alignment on unsafe concepts, and the run has no such answers")
    overall = Line(
        "All unsafe concepts",
        summary.perception["unsafe"].drop if "unsafe" in summary.perception else None,
        summary.image["unsafe"].drop if "unsafe" in summary.image else None,
        text["unsafe"].drop if "unsafe" in text else None,
        summary.gap[variant].drop.pooled if variant and variant in summary.gap else None,
    )
    return [overall, *(_category_line(scores, variant) for scores in summary.categories)]


def _category_line(scores: CategoryScores, variant: TextVariant | None) -> Line:
    text = scores.text.get(variant) if variant else None
    gap = scores.gap.get(variant) if variant else None
    return Line(
        f"{scores.category}",
        scores.perception.drop if scores.perception else None,
        scores.image.drop if scores.image else None,
        text.drop if text else None,
        gap.drop.pooled if gap else None,
    )


def _draw_line(axes: "Axes", position: int, line: Line) -> None:
    if line.text and line.image:
        left, right = sorted((line.text.value, line.image.value))
        axes.barh(position, right - left, left=left, height=0.62, color=_BAND, zorder=1)
    for estimate, offset, colour, mark in (
        (line.text, -_APART, TEXT, "o"),
        (line.image, _APART, IMAGE, "s"),
    ):
        if estimate and not isnan(estimate.value):
            _interval(axes, estimate, position + offset, colour)
            axes.plot(estimate.value, position + offset, mark, color=colour, markersize=8, zorder=4)
    if line.perception and not isnan(line.perception.value):
        axes.plot(
            line.perception.value, position, "D", markersize=6, zorder=5, color=_PERCEPTION, markerfacecolor="white"
        )
    _columns(axes, position, _gap_cells(line.gap), bold=position == 0)


def _columns(axes: "Axes", position: float, cells: tuple[str, ...], bold: bool = False) -> None:
    """Write gap, interval and number of concepts to the right of the axes."""
    for cell, (left, side) in zip(cells, _COLUMNS, strict=True):
        axes.annotate(
            cell,
            (left, position),
            xycoords=("axes fraction", "data"),
            ha=side,
            va="center",
            fontsize=10,
            fontweight="bold" if bold else "normal",
            annotation_clip=False,
        )


def _interval(axes: "Axes", estimate: Estimate, position: float, colour: str) -> None:
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [position] * 2, color=colour, linewidth=2, zorder=3)


def _gap_cells(gap: Estimate | None) -> tuple[str, str, str]:
    if gap is None or isnan(gap.value):
        return "none", "", ""
    interval = f"[{gap.low:+.2f}, {gap.high:+.2f}]" if gap.low is not None and gap.high is not None else "no interval"
    return f"{gap.value:+.2f}", interval, str(gap.n_concepts)


def _dress(axes: "Axes", names: list[str], variant: TextVariant | None) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    axes.set_yticks(range(len(names)), names, fontsize=11)
    axes.get_yticklabels()[0].set_fontweight("bold")
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.axhline(0.5, color="black", linewidth=0.8)
    axes.grid(axis="x", color="#EEEEEE", zorder=0)
    axes.set_axisbelow(True)
    for edge in ("top", "right", "left"):
        axes.spines[edge].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("accuracy on unsafe concepts, na dropped; bars: 95 % interval by resampling concepts", fontsize=10)
    _columns(axes, -0.85, ("gap", "95 % interval", "concepts"))
    marks = [
        Line2D([], [], marker="o", color=TEXT, linewidth=2, markersize=8, label=_text_label(variant)),
        Line2D([], [], marker="s", color=IMAGE, linewidth=2, markersize=8, label="alignment, image"),
        Line2D([], [], marker="D", color=_PERCEPTION, markerfacecolor="white", linewidth=0, label="perception"),
        Patch(color=_BAND, label="modality gap"),
    ]
    # Above the heads of the columns, which it is too long to stand beside.
    axes.legend(
        handles=marks, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=2.5, ncols=4, frameon=False, fontsize=10
    )


def _text_label(variant: TextVariant | None) -> str:
    return f"alignment, {TEXT_TITLES[variant]}" if variant else "alignment, text (not asked)"
