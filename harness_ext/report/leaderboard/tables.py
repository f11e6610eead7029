"""A leaderboard as tables and as a picture, one for each setting: only what was asked and judged alike is compared."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Final

from rich.console import Console

from harness_ext.benchmark.questions import NUM_QUESTIONS
from harness_ext.common.errors import UserError
from harness_ext.registry import title_of
from harness_ext.report.blocks import Block, Cell, csv_document, make_block, markdown_document, print_block, print_lines
from harness_ext.report.figures import BAND, IMAGE, TEXT, legend_above, name_rows, plot_estimate, stacked, write_beside
from harness_ext.report.leaderboard.file import METRICS, Entry, Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLES: Final[Mapping[str, str]] = {
    "image_unsafe": "image, unsafe",
    "image_safe": "image, safe",
    "text_unsafe": "text, unsafe",
    "text_safe": "text, safe",
    "over_refusal": "over-refusal",
    "test": "TEST",
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
# Figures of a line that is about TEST alone, which asks one question about an image.
_OF_TEST: Final[tuple[Metric, ...]] = ("test", "test_unsafe", "test_safe", "na", "failed")
# The sides of the gap in the picture: colour and mark, and the label.
_SIDES: Final[Mapping[Metric, tuple[tuple[str, str], str]]] = {
    "text_unsafe": ((TEXT, "o"), "in text"),
    "image_unsafe": ((IMAGE, "s"), "as images"),
}
# The repetitions of one model and training in one setting, at least one; and what was asked and judged alike, best first.
Row = Sequence[Entry]
Setting = Sequence[Row]


def settings(entries: Sequence[Entry], sort: Metric) -> list[Setting]:
    """The file's settings, in the order in which it first names them, each with its rows by ``sort``, the missing last."""
    grouped: dict[tuple[object, ...], dict[tuple[object, ...], list[Entry]]] = {}
    for entry in entries:
        grouped.setdefault(entry.setting, {}).setdefault(entry.subject, []).append(entry)

    def rank(row: Row) -> tuple[bool, float]:
        mean, *_ = _figures(row, sort) or (0.0,)
        return not _figures(row, sort), mean if sort in _LESS else -mean

    return [sorted(subjects.values(), key=rank) for subjects in grouped.values()]


def _figures(row: Row, metric: Metric) -> tuple[float, ...]:
    """The mean and its ends: the interval of a single run, if it has one; the least and the greatest of several.

    Empty where a repetition lacks the metric.
    """
    scores = [entry.scores[metric] for entry in row if metric in entry.scores]
    if len(scores) < len(row):
        return ()
    if len(scores) > 1:
        values = [score.value for score in scores]
        return fmean(values), min(values), max(values)
    ends = (scores[0].low, scores[0].high)
    return scores[0].value, *(end for end in ends if end is not None)


def _title(setting: Setting) -> str:
    entry = setting[0][0]
    numbers = ", ".join(str(question + 1) for question in entry.questions)
    asked = "all five questions" if len(entry.questions) == NUM_QUESTIONS else f"question {numbers}"
    if all(metric in _OF_TEST for each in setting for of in each for metric in of.scores):
        asked = "one drawn question each"
    decoding = "" if entry.decoding == "not known" else f", {entry.decoding}"
    judged = f"judge {entry.judge}{decoding}, na {'dropped' if entry.na == 'drop' else 'wrong'}"
    return f"{title_of(entry.benchmark)}; {entry.images:,} images, {asked}, {judged}"


def _name(row: Row) -> str:
    """The model, what was done to it, and who says so where it is not this project."""
    first = row[0]
    trained = "" if first.training == "none" else f", {first.training}"
    origin = "" if first.origin == "this project" else f" ({first.origin})"
    return f"{first.model}{trained}{origin}"


# --- the table --------------------------------------------------------------------------------------------------------


def _block(setting: Setting) -> Block:
    """The table and its sources; without the columns that no row has."""
    shown = [metric for metric in METRICS if any(_figures(row, metric) for row in setting)]
    return make_block(
        _title(setting),
        ("model", *(_TITLES.get(metric, metric) for metric in shown), "runs"),
        ((_name(row), *(_cell(row, metric) for metric in shown), len(row)) for row in setting),
        _notes(setting),
    )


def _notes(setting: Setting) -> list[str]:
    """What is said of the rows, each once, with the names of the rows that it is said of."""
    names: dict[str, dict[str, None]] = {}
    for row in setting:
        for said in _said(row):
            names.setdefault(said.rstrip("."), {})[_name(row)] = None
    return [f"{'; '.join(of)}: {said}." for said, of in names.items()]


def _cell(row: Row, metric: Metric) -> Cell:
    """The mean and its ends, with as many decimals as a line has: none of a published figure's is lost."""
    written = tuple(f"{value:{'+' if metric == 'gap' else ''}.4f}" for value in _figures(row, metric))
    if len(written) < 2:
        return written or ("not available",)
    mean, *ends = written
    return mean, f"[{', '.join(ends)}]" if len(row) == 1 else f"({'–'.join(ends)})"


def _said(row: Row) -> Iterator[str]:
    """The sources with their dates, what the model was trained on, and notes."""
    for source in dict.fromkeys(entry.source for entry in row):
        dates = sorted({str(entry.date) for entry in row if entry.source == source and entry.date})
        yield f"{source} ({', '.join(dates)})" if dates else source
    for entry in row:
        if entry.trained_on == "unknown":
            yield f"nobody said whether it was trained on {entry.benchmark}"
        elif entry.trained_on == "training split":
            yield f"trained on the training split of {entry.benchmark}"
        if entry.note:
            yield entry.note


def print_tables(found: Sequence[Setting], console: Console) -> None:
    """Print for the terminal."""
    for setting in found:
        print_block(_block(setting), console)
    print_lines([f"\n{_EXPLAINED}"], console)


def markdown(found: Sequence[Setting], command: Sequence[str]) -> str:
    """All tables as Markdown, with the command that made them."""
    return markdown_document(command, [_EXPLAINED, *map(_block, found)])


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
    panels = {}
    for setting in found:
        if rows := [row for row in setting if any(_figures(row, side) for side in _SIDES)]:
            panels[_title(setting)] = rows
    if not panels:
        raise UserError("no line has text_unsafe or image_unsafe, which the figure is about")
    heights = [0.42 * len(rows) for rows in panels.values()]
    figure, below_each_other = stacked(heights, above=0.95, below=0.65, between=1.6, width=10.0, left=0.27, share=0.58)
    for axes, (title, rows) in zip(below_each_other, panels.items(), strict=True):
        axes.set_title(textwrap.fill(title, 95), fontsize=10, fontweight="bold", loc="left", x=-0.45, pad=30)
        _draw_rows(axes, rows)
    return figure


def _draw_rows(axes: "Axes", rows: Sequence[Row]) -> None:
    for place, row in enumerate(rows):
        sides = {metric: figures for metric in _SIDES if (figures := _figures(row, metric))}
        if len(sides) == len(_SIDES):
            left, right = sorted(mean for mean, *_ in sides.values())
            axes.barh(place, right - left, left=left, height=0.5, color=BAND, zorder=1)
        for metric, (mean, *ends) in sides.items():
            plot_estimate(axes, mean, ends, place, _SIDES[metric][0], markersize=7)
        gap = _figures(row, "gap")
        write_beside(axes, f"{gap[0]:+.4f}" if gap else "none", 1.12, place)
    for (colour, mark), label in _SIDES.values():
        axes.plot([], [], marker=mark, color=colour, linewidth=2, markersize=7, label=label)
    write_beside(axes, "gap", 1.12, -0.7)
    name_rows(axes, [textwrap.fill(_name(row), 30) for row in rows])
    axes.grid(axis="x", color="#EEEEEE")
    axes.set_xlabel("accuracy on unsafe concepts", fontsize=9)
    legend_above(axes, 2, 9, borderaxespad=0.3)
