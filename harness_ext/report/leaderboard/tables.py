"""A leaderboard as tables and as a picture, one for each setting: only what was asked and judged alike is compared."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Final

from rich.console import Console

from harness_ext.benchmark.questions import NUM_QUESTIONS
from harness_ext.common.errors import UserError
from harness_ext.report.blocks import Block, Cell, csv_document, markdown_document, print_block, print_lines
from harness_ext.report.figures import BAND, IMAGE, TEXT, clear_edges, new_figure, write_beside
from harness_ext.report.leaderboard.file import METRICS, Entry, Metric
from harness_ext.report.tables import SOURCE_TITLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLES: Final[Mapping[str, str]] = {
    "image_unsafe": "image, unsafe",
    "image_safe": "image, safe",
    "text_unsafe": "text, unsafe",
    "text_safe": "text, safe",
    "over_refusal": "over-refusal",
    "test_unsafe": "TEST, unsafe",
    "test_safe": "TEST, safe",
}
# Where less is better.
_LESS: Final[tuple[Metric, ...]] = ("gap", "over_refusal", "na", "failed")
_EXPLAINED: Final = (
    "In brackets 95 % intervals; of several runs the mean, and in parentheses the least and the greatest. Gap: text-only "
    "minus image accuracy on unsafe concepts; over-refusal: safe images judged unsafe. No figure alone says that a model "
    "judges well: one that calls everything unsafe has no gap."
)
# Of a panel, in inches.
_LINE, _ABOVE, _BELOW = 0.42, 0.95, 0.65


@dataclass(frozen=True)
class Row:
    """The repetitions of one model and training in one setting: one or more lines of the file."""

    entries: tuple[Entry, ...]

    @property
    def name(self) -> str:
        """The model, what was done to it, and who says so where it is not this project."""
        first = self.entries[0]
        trained = "" if first.training == "none" else f", {first.training}"
        origin = "" if first.origin == "this project" else f" ({first.origin})"
        return f"{first.model}{trained}{origin}"

    def mean(self, metric: Metric) -> float | None:
        """Over the repetitions; ``None`` where one of them lacks it."""
        values = [entry.scores[metric].value for entry in self.entries if metric in entry.scores]
        return fmean(values) if len(values) == len(self.entries) else None

    def ends(self, metric: Metric) -> tuple[float, ...]:
        """The interval of a single run, if it has one; the least and the greatest of several. All of them have the metric."""
        scores = [entry.scores[metric] for entry in self.entries]
        if len(scores) > 1:
            return min(score.value for score in scores), max(score.value for score in scores)
        low, high = scores[0].low, scores[0].high
        return () if low is None or high is None else (low, high)

    def cell(self, metric: Metric) -> Cell:
        """The mean and its ends, with as many decimals as a line has: none of a published figure's is lost."""
        if (mean := self.mean(metric)) is None:
            return ("not available",)
        written, *ends = (f"{value:{'+' if metric == 'gap' else ''}.4f}" for value in (mean, *self.ends(metric)))
        if not ends:
            return (written,)
        return written, f"[{', '.join(ends)}]" if len(self.entries) == 1 else f"({'–'.join(ends)})"


@dataclass(frozen=True)
class Setting:
    """What was asked and judged alike, best first."""

    title: str
    rows: tuple[Row, ...]

    def block(self) -> Block:
        """The table and its sources; without the columns that no row has."""
        shown = [metric for metric in METRICS if any(row.mean(metric) is not None for row in self.rows)]
        header = ("model", *(_TITLES.get(metric, metric) for metric in shown), "runs")
        rows = tuple(
            ((row.name,), *(row.cell(metric) for metric in shown), (str(len(row.entries)),)) for row in self.rows
        )
        return Block(self.title, header, rows, self._notes())

    def _notes(self) -> tuple[str, ...]:
        said: dict[str, None] = {}
        for row in self.rows:
            for source in dict.fromkeys(entry.source for entry in row.entries):
                dates = sorted({str(entry.date) for entry in row.entries if entry.source == source and entry.date})
                said[f"{row.name}: {source}" + (f" ({', '.join(dates)})" if dates else "")] = None
            for entry in row.entries:
                if entry.trained_on == "unknown":
                    said[f"{row.name}: nobody said whether it was trained on {entry.benchmark}"] = None
                elif entry.trained_on == "training split":
                    said[f"{row.name}: trained on the training split of {entry.benchmark}"] = None
                if entry.note:
                    said[f"{row.name}: {entry.note}"] = None
        return tuple(f"{each.rstrip('.')}." for each in said)


def settings(entries: Sequence[Entry], sort: Metric) -> list[Setting]:
    """The file's settings, in the order in which it first names them, each with its rows by ``sort``, the missing last."""
    grouped: dict[tuple[object, ...], dict[tuple[object, ...], list[Entry]]] = {}
    for entry in entries:
        grouped.setdefault(entry.setting, {}).setdefault(entry.subject, []).append(entry)

    def rank(row: Row) -> tuple[bool, float]:
        mean = row.mean(sort)
        return (mean is None, 0.0 if mean is None else mean if sort in _LESS else -mean)

    found = []
    for subjects in grouped.values():
        rows = sorted((Row(tuple(lines)) for lines in subjects.values()), key=rank)
        found.append(Setting(_title(rows[0].entries[0]), tuple(rows)))
    return found


def _title(entry: Entry) -> str:
    numbers = ", ".join(str(question + 1) for question in entry.questions)
    asked = "all five questions" if len(entry.questions) == NUM_QUESTIONS else f"question {numbers}"
    na = "na dropped" if entry.na == "drop" else "na wrong"
    decoding = "" if entry.decoding == "not known" else f", {entry.decoding}"
    return f"{SOURCE_TITLES[entry.benchmark]}; {entry.images:,} images, {asked}, judge {entry.judge}{decoding}, {na}"


def print_tables(found: Sequence[Setting], console: Console) -> None:
    """Print for the terminal."""
    for setting in found:
        print_block(setting.block(), console)
    print_lines([f"\n{_EXPLAINED}"], console)


def markdown(found: Sequence[Setting], command: Sequence[str]) -> str:
    """All tables as Markdown, with the command that made them."""
    return markdown_document(command, [_EXPLAINED, *(setting.block() for setting in found)])


def as_csv(entries: Sequence[Entry]) -> str:
    """Every figure of every line, with the line's own description: one row a figure."""
    described = [name for name in Entry.model_fields if name != "scores"]
    rows = []
    for entry in entries:
        row = entry.model_dump(mode="json")
        row["questions"] = " ".join(map(str, row["questions"]))
        for metric, value in entry.scores.items():
            rows.append([*(row[name] for name in described), metric, *value.model_dump().values()])
    return csv_document([*described, "metric", "value", "low", "high", "answers", "concepts"], rows)


# --- the picture ------------------------------------------------------------------------------------------------------


def draw(found: Sequence[Setting]) -> "Figure":
    """For each row, accuracy on unsafe concepts in text and as images, and the gap; one panel a setting.

    Raises ``UserError`` where no line has either accuracy.
    """
    sides: tuple[Metric, ...] = ("text_unsafe", "image_unsafe")
    drawn = [(each, [row for row in each.rows if any(row.mean(side) is not None for side in sides)]) for each in found]
    panels = [(setting, rows) for setting, rows in drawn if rows]
    if not panels:
        raise UserError("no line has text_unsafe or image_unsafe, which the figure is about")
    heights = [_ABOVE + _LINE * len(rows) + _BELOW for _, rows in panels]
    top = whole = sum(heights)
    figure = new_figure(10.0, whole)
    for (setting, rows), height in zip(panels, heights, strict=True):
        # Laid out by hand, in inches: a panel is as high as it has rows.
        bottom = (top - height + _BELOW) / whole
        _panel(figure.add_axes((0.27, bottom, 0.58, _LINE * len(rows) / whole)), setting, rows)
        top -= height
    return figure


def _panel(axes: "Axes", setting: Setting, rows: Sequence[Row]) -> None:
    from matplotlib.lines import Line2D

    for position, row in enumerate(rows):
        _row(axes, position, row)
    axes.set_yticks(range(len(rows)), [textwrap.fill(row.name, 30) for row in rows], fontsize=10)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(-0.02, 1.02)
    axes.grid(axis="x", color="#EEEEEE")
    clear_edges(axes, "top", "right", "left")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("accuracy on unsafe concepts", fontsize=9)
    axes.annotate(
        "gap", (1.12, 1.0), xycoords="axes fraction", ha="right", va="bottom", fontsize=10, annotation_clip=False
    )
    axes.set_title(textwrap.fill(setting.title, 95), fontsize=10, fontweight="bold", loc="left", x=-0.45, pad=30)
    marks = [
        Line2D([], [], marker="o", color=TEXT, linewidth=2, markersize=7, label="in text"),
        Line2D([], [], marker="s", color=IMAGE, linewidth=2, markersize=7, label="as images"),
    ]
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3, ncols=2, frameon=False, fontsize=9, handles=marks
    )


def _row(axes: "Axes", position: int, row: Row) -> None:
    text, image, gap = row.mean("text_unsafe"), row.mean("image_unsafe"), row.mean("gap")
    if text is not None and image is not None:
        axes.barh(position, abs(text - image), left=min(text, image), height=0.5, color=BAND, zorder=1)
    sides: tuple[tuple[Metric, str, str], ...] = (("text_unsafe", TEXT, "o"), ("image_unsafe", IMAGE, "s"))
    for metric, colour, mark in sides:
        if (mean := row.mean(metric)) is not None:
            if ends := row.ends(metric):
                axes.plot(ends, [position] * 2, color=colour, linewidth=2, zorder=3)
            axes.plot(mean, position, mark, color=colour, markersize=7, zorder=4)
    write_beside(axes, "none" if gap is None else f"{gap:+.4f}", 1.12, position)
