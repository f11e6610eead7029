"""A run as pictures: the modality gap, overall and by category; and the calibration of answers by likelihood."""

import io
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from harness_ext.benchmark.probes import TextVariant
from harness_ext.common.errors import UserError
from harness_ext.common.files import write_bytes
from harness_ext.common.output import neutral
from harness_ext.metrics.units import Estimate
from harness_ext.report.blocks import estimated
from harness_ext.report.scores import CategoryScores, ProbeLikelihood, Summary
from harness_ext.report.tables import PROBE_TITLES, TEXT_TITLES, title
from harness_ext.runs.load import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours: told apart with any of the common colour vision deficiencies. The marks differ as well.
TEXT: Final = "#0072B2"
IMAGE: Final = "#D55E00"
BAND: Final = "#D9D9D9"
_PERCEPTION: Final = "#333333"
_LOOKS: Final = {
    "perception": (_PERCEPTION, "D"),
    "image": (IMAGE, "s"),
    "text": (TEXT, "o"),
    "text_blank": ("#56B4E9", "^"),
}
# Where the columns beside the axes stand, in widths of the axes, and which of their sides stands there.
_COLUMNS: Final[tuple[tuple[float, Literal["left", "right"]], ...]] = ((1.10, "right"), (1.12, "left"), (1.44, "right"))
# The calibration's, in inches.
_PANEL: Final = 3.6
_LEFT, _RIGHT, _BETWEEN, _BELOW = 0.75, 0.3, 0.35, 0.75


# --- files ------------------------------------------------------------------------------------------------------------


def figure_files(paths: Iterable[Path | None]) -> list[Path]:
    """The files that :func:`write_figure` writes for each of ``paths``. Raises ``UserError`` for one that is no PNG."""
    asked = [path for path in paths if path]
    for path in asked:
        if path.suffix != ".png":
            raise UserError(f"{path}: expected a name ending in .png; the SVG is written beside it")
    return [file for path in asked for file in (path, path.with_suffix(".svg"))]


def write_figure(draw: Callable[[], "Figure"], path: Path) -> None:
    """Write what ``draw`` draws as PNG to ``path``, and as SVG beside it. Raises ``UserError`` where that cannot be done."""
    png, svg = io.BytesIO(), io.BytesIO()
    with drawn(draw) as figure:
        figure.savefig(png, format="png", dpi=200)
        # Without a date, the same answers give the same file.
        figure.savefig(svg, format="svg", metadata={"Date": None})
    write_bytes(path, png.getvalue())
    write_bytes(path.with_suffix(".svg"), svg.getvalue())


@contextmanager
def drawn(draw: Callable[[], "Figure"]) -> Iterator["Figure"]:
    """What ``draw`` draws, to be saved within the context: its texts are neutral, and a dollar sign begins no formula."""
    import matplotlib
    from matplotlib.text import Text

    with matplotlib.rc_context({"svg.hashsalt": "unsafeconcepts", "svg.fonttype": "none", "text.parse_math": False}):
        figure = draw()
        for text in figure.findobj(Text):
            text.set_text(neutral(text.get_text()))
        yield figure


# --- what figures share -----------------------------------------------------------------------------------------------


def stacked(
    heights: Sequence[float], *, above: float, below: float, between: float = 0, width: float, left: float, share: float
) -> tuple["Figure", list["Axes"]]:
    """A figure with axes below each other, in inches; ``left`` and ``share``, their width, are parts of the figure's.

    Laid out by hand: the automatic layouts do not see what stands beside the axes.
    """
    from matplotlib.figure import Figure

    top = whole = above + sum(heights) + between * (len(heights) - 1) + below
    figure, found = Figure(figsize=(width, whole)), []
    top -= above
    for height in heights:
        found.append(figure.add_axes((left, (top - height) / whole, share, height / whole)))
        top -= height + between
    return figure, found


def name_rows(axes: "Axes", names: Sequence[str], fontsize: int = 10) -> None:
    """Name the rows, from above, of a figure of shares."""
    axes.set_yticks(range(len(names)), list(map(neutral, names)), fontsize=fontsize)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(-0.02, 1.02)
    axes.tick_params(axis="y", length=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)


def plot_estimate(
    axes: "Axes", value: float, ends: Sequence[float | None], place: float, look: tuple[str, str], **marker: Any
) -> None:
    """Mark a value, unless it is nan, in the row at ``place``, over the line between its ends, if it has both.

    ``look`` is the colour and the mark; ``marker`` has further properties of the mark.
    """
    if isnan(value):
        return
    colour, mark = look
    if ends and None not in ends:
        axes.plot(ends, [place] * 2, color=colour, linewidth=2, zorder=3)  # type: ignore[arg-type]
    axes.plot(value, place, mark, color=colour, zorder=4, **marker)


def write_beside(
    axes: "Axes", text: str, left: float, place: float, side: Literal["left", "right"] = "right", weight: str = "normal"
) -> None:
    """Write text whose ``side`` stands ``left`` widths of the axes from their left edge."""
    axes.annotate(
        text,
        (left, place),
        xycoords=("axes fraction", "data"),
        ha=side,
        va="center",
        fontsize=10,
        fontweight=weight,
        annotation_clip=False,
    )


def legend_above(axes: "Axes", columns: int, fontsize: int = 10, **options: Any) -> None:
    """A legend of this many columns above the axes, without a frame."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False, fontsize=fontsize, **options)


# --- the modality gap -------------------------------------------------------------------------------------------------


def draw(run: Run, summary: Summary, titled: bool = True) -> "Figure":
    """Text against image accuracy on unsafe concepts, with ``na`` dropped, overall and by category.

    ``titled`` is false where the text around the figure names the run. Raises ``UserError`` for a run without such answers.
    """
    variant: TextVariant = next(iter(summary.text), "none")
    overall = CategoryScores(
        "All unsafe concepts",
        summary.perception.get("unsafe"),
        summary.image.get("unsafe"),
        {variant: scores["unsafe"] for variant, scores in summary.text.items() if "unsafe" in scores},
        summary.gap,
        nan,
        nan,
    )
    if overall.image is None and variant not in overall.text:
        raise UserError("the figure is about alignment on unsafe concepts, and the run has no such answers")
    lines = [overall, *summary.categories]
    heading = textwrap.wrap(title(run), 80) if titled else []
    figure, (axes,) = stacked(
        [0.52 * len(lines)], above=0.8 + 0.25 * len(heading), below=0.7, width=11.0, left=0.21, share=0.52
    )
    for place, line in enumerate(lines):
        _draw_line(axes, place, line, variant)
    _dress(axes, [line.category for line in lines], TEXT_TITLES[variant] if summary.text else "text (not asked)")
    _set_heading(figure, heading)
    return figure


def _draw_line(axes: "Axes", place: int, line: CategoryScores, variant: TextVariant) -> None:
    text, image, gap = line.text.get(variant), line.image, line.gap.get(variant)
    if text and image:
        left, right = sorted((text.drop.value, image.drop.value))
        axes.barh(place, right - left, left=left, height=0.62, color=BAND, zorder=1)
    for score, offset, look in ((text, -0.17, _LOOKS["text"]), (image, 0.17, _LOOKS["image"])):
        if score:
            ends = score.drop.low, score.drop.high
            plot_estimate(axes, score.drop.value, ends, place + offset, look, markersize=8)
    if line.perception:
        look, value = _LOOKS["perception"], line.perception.drop.value
        plot_estimate(axes, value, (), place, look, markersize=6, markerfacecolor="white")
    _columns(axes, place, _gap_cells(gap.drop.pooled if gap else None), "normal" if place else "bold")


def _columns(axes: "Axes", place: float, cells: tuple[str, ...], weight: str = "normal") -> None:
    """Write gap, interval and number of concepts to the right of the axes."""
    for cell, (left, side) in zip(cells, _COLUMNS, strict=True):
        write_beside(axes, cell, left, place, side, weight)


def _gap_cells(gap: Estimate | None) -> tuple[str, str, str]:
    if gap is None or isnan(gap.value):
        return "none", "", ""
    interval = f"[{gap.low:+.2f}, {gap.high:+.2f}]" if gap.low is not None and gap.high is not None else "no interval"
    return f"{gap.value:+.2f}", interval, str(gap.n_concepts)


def _dress(axes: "Axes", names: list[str], text: str) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    name_rows(axes, names, 11)
    axes.get_yticklabels()[0].set_fontweight("bold")
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.axhline(0.5, color="black", linewidth=0.8)
    axes.grid(axis="x", color="#EEEEEE", zorder=0)
    axes.set_xlabel("accuracy on unsafe concepts, na dropped; bars: 95 % interval over concepts", fontsize=10)
    _columns(axes, -0.85, ("gap", "95 % interval", "concepts"))
    marks = [
        Line2D([], [], marker="o", color=TEXT, linewidth=2, markersize=8, label=f"alignment, {text}"),
        Line2D([], [], marker="s", color=IMAGE, linewidth=2, markersize=8, label="alignment, image"),
        Line2D([], [], marker="D", color=_PERCEPTION, markerfacecolor="white", linewidth=0, label="perception"),
        Patch(color=BAND, label="modality gap"),
    ]
    # Above the heads of the columns, which it is too long to stand beside.
    legend_above(axes, 4, handles=marks, borderaxespad=2.5)


def _set_heading(figure: "Figure", lines: list[str]) -> None:
    top = 1 - 0.15 / figure.get_figheight()
    figure.suptitle("\n".join(lines), fontsize=13, fontweight="bold", y=top)


# --- calibration ------------------------------------------------------------------------------------------------------


def draw_calibration(run: Run, summary: Summary, titled: bool = True) -> "Figure":
    """How often answers by likelihood are right, against how sure they are, one panel a probe; as :func:`draw`."""
    if summary.likelihood is None:
        raise UserError(
            f"the calibration is that of answers by likelihood, and the run has none: evaluate {run.source}_likelihood"
        )
    from matplotlib.figure import Figure

    probes = summary.likelihood.probes
    width = _LEFT + len(probes) * _PANEL + (len(probes) - 1) * _BETWEEN + _RIGHT
    heading = textwrap.wrap(title(run), round(7 * width), break_on_hyphens=False) if titled else []
    height = _BELOW + _PANEL + 0.8 + 0.25 * len(heading)
    figure = Figure(figsize=(width, height))
    for position, (name, probe) in enumerate(probes.items()):
        left = _LEFT + position * (_PANEL + _BETWEEN)
        axes = figure.add_axes((left / width, _BELOW / height, _PANEL / width, _PANEL / height))
        _panel(axes, name, probe)
        if position == 0:
            axes.set_ylabel("accuracy", fontsize=10)
        else:
            axes.set_yticklabels([])
    _set_heading(figure, heading)
    figure.text(
        (_LEFT + (width - _LEFT - _RIGHT) / 2) / width,
        0.12 / height,
        "mean confidence of a tenth of the answers; bars: 95 % interval over concepts",
        ha="center",
        fontsize=10,
    )
    return figure


def _panel(axes: "Axes", name: str, probe: ProbeLikelihood) -> None:
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
    axes.set_title(f"{PROBE_TITLES[name]}\nECE {' '.join(estimated(probe.calibration_error))}", fontsize=11)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    axes.grid(color="#EEEEEE", zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
