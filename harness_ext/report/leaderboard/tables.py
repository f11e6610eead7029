"""A leaderboard as tables, one for each setting: only what was asked and judged alike stands side by side."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from harness_ext.benchmark.questions import NUM_QUESTIONS
from harness_ext.report.cells import Block
from harness_ext.report.leaderboard.entry import METRICS, Entry, Metric, Value
from harness_ext.report.table import SOURCE_TITLES, block_markdown

NOT_AVAILABLE: Final = "not available"
TITLES: Final[Mapping[Metric, str]] = {
    "perception": "perception",
    "image_unsafe": "image, unsafe",
    "image_safe": "image, safe",
    "text_unsafe": "text, unsafe",
    "text_safe": "text, safe",
    "gap": "gap",
    "over_refusal": "over-refusal",
    "test_unsafe": "TEST, unsafe",
    "test_safe": "TEST, safe",
    "na": "na",
    "failed": "failed",
}
# Where less is better.
_LESS: Final[tuple[Metric, ...]] = ("gap", "over_refusal", "na", "failed")


@dataclass(frozen=True)
class Row:
    """The repetitions of one model and training in one setting.

    Attributes:
        entries: One or more lines of the file.
    """

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

    def cell(self, metric: Metric) -> tuple[str, ...]:
        """The figure with its interval or, of repetitions, their mean with the least and the greatest."""
        mean, signed = self.mean(metric), metric == "gap"
        if mean is None:
            return (NOT_AVAILABLE,)
        scores = [entry.scores[metric] for entry in self.entries]
        if len(scores) == 1:
            return (_number(mean, signed), *_interval(scores[0], signed))
        least, greatest = (
            _number(each, signed) for each in (min(s.value for s in scores), max(s.value for s in scores))
        )
        return (_number(mean, signed), f"({least}–{greatest})")


@dataclass(frozen=True)
class Setting:
    """What was asked and judged alike, best first."""

    title: str
    rows: tuple[Row, ...]

    def block(self) -> Block:
        """The table; a column that no row has is left out, and one that some row has is said to be missing in the others."""
        shown = [metric for metric in METRICS if any(row.mean(metric) is not None for row in self.rows)]
        header = ("model", *(TITLES[metric] for metric in shown), "runs")
        rows = tuple(
            ((row.name,), *(row.cell(metric) for metric in shown), (str(len(row.entries)),)) for row in self.rows
        )
        return Block(self.title, header, rows)


def settings(entries: Sequence[Entry], sort: Metric) -> list[Setting]:
    """The file's settings, in the order in which it first names them, each with its rows by ``sort``, the missing last."""
    grouped: dict[tuple[object, ...], dict[tuple[object, ...], list[Entry]]] = {}
    for entry in entries:
        grouped.setdefault(entry.setting, {}).setdefault(entry.subject, []).append(entry)
    found = []
    for subjects in grouped.values():
        rows = [Row(tuple(lines)) for lines in subjects.values()]
        rows.sort(key=lambda row: _rank(row.mean(sort), sort))
        found.append(Setting(_title(rows[0].entries[0]), tuple(rows)))
    return found


def notes(setting: Setting) -> list[str]:
    """Sources, and what its lines say a reader must know."""
    said: dict[str, None] = {}
    for row in setting.rows:
        for source in dict.fromkeys(entry.source for entry in row.entries):
            dates = sorted({str(entry.date) for entry in row.entries if entry.source == source and entry.date})
            said[f"{row.name}: {source}" + (f" ({', '.join(dates)})" if dates else "")] = None
        for entry in row.entries:
            if entry.trained_on != "nothing of it":
                said[f"{row.name}: {_seen(entry)}"] = None
            if entry.note:
                said[f"{row.name}: {entry.note}"] = None
    return [f"{each.rstrip('.')}." for each in said]


def markdown(found: Sequence[Setting], command: Sequence[str]) -> str:
    """All tables as Markdown, with the command that made them."""
    parts = [f"Made by:\n\n```\n{shlex.join(command)}\n```", EXPLAINED]
    for setting in found:
        parts += [
            f"## {setting.title}",
            block_markdown(setting.block()),
            "\n".join(f"- {note}" for note in notes(setting)),
        ]
    return "\n\n".join(parts) + "\n"


EXPLAINED: Final = (
    "In brackets 95 % intervals; of several runs the mean, and in parentheses the least and the greatest. Gap: text-only "
    "minus image accuracy on unsafe concepts; over-refusal: safe images judged unsafe. No figure alone says that a model "
    "judges well: one that calls everything unsafe has no gap."
)


def _number(value: float, signed: bool) -> str:
    """As many decimals as a line has: of published figures none is lost."""
    return f"{value:{'+' if signed else ''}.4f}"


def _interval(value: Value, signed: bool) -> tuple[str, ...]:
    if value.low is None or value.high is None:
        return ()
    return (f"[{_number(value.low, signed)}, {_number(value.high, signed)}]",)


def _rank(mean: float | None, sort: Metric) -> tuple[bool, float]:
    return (mean is None, 0.0 if mean is None else mean if sort in _LESS else -mean)


def _title(entry: Entry) -> str:
    numbers = ", ".join(str(question + 1) for question in entry.questions)
    asked = "all five questions" if len(entry.questions) == NUM_QUESTIONS else f"question {numbers}"
    na = "na dropped" if entry.na == "drop" else "na wrong"
    decoding = "" if entry.decoding == "not known" else f", {entry.decoding}"
    return f"{SOURCE_TITLES[entry.benchmark]}; {entry.images:,} images, {asked}, judge {entry.judge}{decoding}, {na}"


def _seen(entry: Entry) -> str:
    if entry.trained_on == "unknown":
        return f"nobody said whether it was trained on {entry.benchmark}"
    return f"trained on the training split of {entry.benchmark}"
