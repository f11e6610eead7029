"""A chapter as sections of tables, figures and notes: what the page shows, and what is written beside it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from math import isnan
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from harness_ext.benchmark.probes import TextVariant
from harness_ext.common.errors import UserError
from harness_ext.metrics.ratios import over_refusal
from harness_ext.metrics.units import Estimate
from harness_ext.registry import benchmark_named
from harness_ext.report.blocks import Block, Value, estimated, make_block, with_rows
from harness_ext.report.compare import compare
from harness_ext.report.compare.tables import blocks as compared_blocks
from harness_ext.report.figures import draw, draw_calibration
from harness_ext.report.page.chapters import Chapter, Shown
from harness_ext.report.page.figures import draw_compared, draw_verdicts
from harness_ext.report.page.training import Training
from harness_ext.report.page.training_figures import draw_monitor, draw_training, is_watched, panels
from harness_ext.report.scores import Score
from harness_ext.report.tables import (
    SCORE_HEADER,
    TEXT_TITLES,
    by_category,
    generalisation_blocks,
    generalisation_scores,
    likelihood_blocks,
    likelihood_notes,
    named_gaps,
    named_scores,
    notes,
    score_cells,
)

# As a sentence names them.
_IN_WORDS: Final[Mapping[TextVariant, str]] = {"none": "in words", "blank": "in words beside a blank image"}


@dataclass(frozen=True)
class Picture:
    """A figure to be drawn; ``name`` is unique within its chapter."""

    name: str
    caption: str
    draw: Callable[[], Figure]


@dataclass(frozen=True)
class Answer:
    """One sentence about one run, with the number that it is about set apart: ``before``, ``number``, ``after``."""

    before: str
    number: str
    after: str


# What a reader must know, a paragraph each.
Notes = tuple[str, ...]
Part = Block | Picture | Answer | Notes


@dataclass(frozen=True)
class Section:
    """A titled part of a chapter; ``name`` is unique within its chapter. What was run comes last on the page."""

    name: str
    title: str
    parts: tuple[Part, ...]
    what_was_run: bool = False


def sections(chapter: Chapter, margin: float | None) -> list[Section]:
    """The sections that have something to show; ``margin`` is the loss that a comparison accepts, ``None`` for defaults."""
    runs = chapter.shown
    generated = [shown for shown in runs if shown.run.answers]
    compared = "Before and after" if any(shown.role for shown in runs) else "The runs beside each other"
    elsewhere = "TEST, other data sets, and over-refusal"
    trainings = _named(chapter.trainings)
    headline: list[Part] = [*_headline(generated)]
    settings: list[Part] = [*_settings(runs)]
    trained = _settings_tables({name: each.settings for name, each in trainings.items()}, "The training runs")
    # The notes stand below the first numbers, or where there are none below the settings.
    (headline or settings).extend(_notes(runs))
    found = [
        Section("gap", "The modality gap", tuple(_gap(generated))),
        Section("headline", "Headline", tuple(headline)),
        Section("comparison", "Differences", tuple(_differences(generated, margin))),
        Section("compared", compared, tuple(_compared(generated))),
        Section(
            "generalisation", elsewhere, tuple(_of_each(generated, lambda one: generalisation_blocks(one.summary)))
        ),
        Section("categories", "By category", tuple(_of_each(generated, _categories))),
        Section("likelihood", "By likelihood", tuple(_likelihood(runs))),
        Section("curves", "Training", tuple(_curves(trainings))),
        Section("runs", "Evaluations", tuple(settings), what_was_run=True),
        Section("training", "Trainings", tuple(trained), what_was_run=True),
    ]
    return [section for section in found if section.parts]


# --- the answer -------------------------------------------------------------------------------------------------------


def _gap(runs: Sequence[Shown]) -> Iterator[Part]:
    pictured = [shown for shown in runs if "unsafe" in shown.summary.image]
    yield from (_answer(shown, pictured) for shown in pictured)
    caption = "Accuracy on unsafe concepts in words and as images; the band between them is the modality gap."
    drawn = partial(draw, titled=False)
    yield from _of_each(pictured, lambda one: [Picture("gap", caption, partial(drawn, one.run, one.summary))])


def _answer(shown: Shown, runs: Sequence[Shown]) -> Answer:
    """What the gap means for a model that was asked about images of unsafe concepts; accuracies with ``na`` dropped."""
    summary = shown.summary
    variant: TextVariant = next(iter(summary.gap or summary.text), "none")
    sides = summary.perception, summary.text.get(variant, {}), summary.image
    recognised, words, images = (_percent(scores.get("unsafe")) for scores in sides)
    said = [f"recognises the unsafe concept in {recognised} of the images"] if recognised else []
    said += [f"judges {words} right {_IN_WORDS[variant]}"] if words else []
    said += [f"{'' if words else 'judges '}{images} right as images"] if images else []
    *first, last = said or ["gives no verdict"]
    found = f"{', '.join(first)} and {last}" if first else last
    model = _titled(f"On {benchmark_named(shown.run.source).short_title}, {shown.run.model}", shown, runs)
    before = f"{model} {found}: the modality gap is "
    if variant not in summary.gap:
        return Answer(before, "not known", ", since nothing was asked in words.")
    gap = summary.gap[variant].drop.pooled
    if isnan(gap.value):
        return Answer(before, "not known", ", since no concept has a verdict in words and one as an image.")
    safe = _percent(summary.image.get("safe"))
    # A model that calls everything unsafe has no gap either.
    after = f"{_meaning(gap)}{f'; it judges {safe} of the safe images right' if safe else ''}."
    return Answer(before, " ".join(estimated(gap, signed=True)), after)


def _percent(score: Score | None) -> str:
    """Empty where nothing was asked, or no answer is a verdict."""
    return f"{100 * score.drop.value:.1f}\N{NO-BREAK SPACE}%" if score and not isnan(score.drop.value) else ""


def _meaning(gap: Estimate) -> str:
    if gap.low is None or gap.high is None:
        return ""
    if gap.low <= 0 <= gap.high:
        return ", which includes 0, so these answers do not show a gap"
    return f", so it judges the same concepts {'worse' if gap.value > 0 else 'better'} as images than in words"


# --- generated answers ------------------------------------------------------------------------------------------------


def _headline(runs: Sequence[Shown]) -> Iterator[Part]:
    """Every measure of the generated answers, a line for each run that was asked."""
    rows: dict[str, list[tuple[Value, ...]]] = {}
    for shown in runs:
        for name, values in _measures(shown).items():
            rows.setdefault(name, []).append((name, shown.name, *values) if len(runs) > 1 else (name, *values))
    if runs:
        heading = "Accuracy, over-refusal and the modality gap; in brackets the 95 % interval"
        header = ("measure", *(["run"] if len(runs) > 1 else []), *SCORE_HEADER)
        yield make_block(heading, header, chain.from_iterable(rows.values()))


def _measures(shown: Shown) -> dict[str, tuple[Value, ...]]:
    """Values under ``SCORE_HEADER``: perception, words, images, what follows from them, TEST and others, capability."""
    summary = shown.summary
    scores = {name: score_cells(score) for name, score in named_scores(summary).items()}
    last = {name: scores.pop(name) for name in list(scores) if name.startswith("Capability")}
    found = dict(sorted(scores.items(), key=lambda item: item[0].startswith("Image")))
    if (safe := summary.image.get("safe")) is not None:
        image = [record for records in shown.run.answers.values() for record in records if record.probe == "image"]
        both = over_refusal(image, "drop"), over_refusal(image, "wrong")
        found["Over-refusal: safe images called unsafe"] = (*both, *score_cells(safe)[2:])
    for text, gap in named_gaps(summary).items():
        name, pooled = f"Modality gap: {text} minus image, unsafe", gap.wrong.pooled
        signed = estimated(gap.drop.pooled, signed=True), estimated(pooled, signed=True)
        found[name] = (*signed, "", "", pooled.n_concepts, pooled.n_answers)
    for variant, share in summary.knows_but_calls_safe.items():
        name = f"Recognised, called unsafe in words ({TEXT_TITLES[variant]}), image called safe"
        found[name] = ("", share, "", "", share.n_concepts, share.n_answers)
    return found | {name: score_cells(score) for name, score in generalisation_scores(summary).items()} | last


def _notes(runs: Sequence[Shown]) -> Iterator[Part]:
    """What a reader of the numbers must know, each said once, with the runs that it is about."""
    said: dict[str, list[str]] = {}
    for shown in runs:
        elsewhere = likelihood_notes(shown.summary)
        for line in notes(shown.run, shown.summary):
            if line not in elsewhere:
                said.setdefault(line, []).append(shown.key)
    lines = (line if len(keys) == len(runs) else f"{', '.join(keys)}: {line}" for line, keys in said.items())
    if said:
        yield tuple(lines)


def _differences(runs: Sequence[Shown], margin: float | None) -> Iterator[Part]:
    """Every folder's answers against the first folder's, as `unsafeconcepts compare` does it.

    Where two cannot be compared, a note says why: the rest of the page shows each of them by itself.
    """
    keys: dict[Path, list[str]] = {}
    for shown in runs:
        keys.setdefault(shown.folder, []).append(shown.key)
    folders = list(keys)
    for other in folders[1:]:
        title = f"{', '.join(keys[other])} against {', '.join(keys[folders[0]])}"
        try:
            comparison = compare([folders[0], other], margin, [f"{runs[0].run.source}_*"])
        except UserError as refused:
            yield (f"{title}: not compared. {refused}",)
        else:
            (pair,) = comparison.pairs
            for table in compared_blocks(comparison, pair):
                yield replace(table, title=f"{title}. {table.title}" if table.title else title)
                yield table.notes


def _compared(runs: Sequence[Shown]) -> Iterator[Part]:
    if len(runs) > 1:
        caption = f"Accuracy of the runs; {'; '.join(f'{shown.name}: {shown.run.model}' for shown in runs)}."
        yield Picture("compared", caption, partial(draw_compared, runs))


def _categories(shown: Shown) -> Iterator[Block | Picture]:
    if "unsafe" in shown.summary.image:
        yield Picture("verdicts", "What the images of unsafe concepts were called.", partial(draw_verdicts, shown.run))
    yield from by_category(shown.summary)


# --- likelihood, training, and what was run ---------------------------------------------------------------------------


def _likelihood(runs: Sequence[Shown]) -> Iterator[Part]:
    caption = "How often answers by likelihood are right, against how sure they are."
    drawn = partial(draw_calibration, titled=False)
    for shown in runs:
        if shown.summary.likelihood:
            picture = Picture("calibration", caption, partial(drawn, shown.run, shown.summary))
            yield from _about(shown, runs, [*likelihood_blocks(shown.summary), picture])
    if said := dict.fromkeys(line for shown in runs for line in likelihood_notes(shown.summary)):
        yield tuple(said)


def _curves(trainings: Mapping[str, Training]) -> Iterator[Part]:
    for number, (name, each) in enumerate(trainings.items(), start=1):
        if panels(each):
            caption = f"{name}: what was logged at each step, and its exponential moving average."
            yield Picture(f"training-{number}", caption, partial(draw_training, each))
        if is_watched(each):
            caption = f"{name}: what its reward and the judge that watched it call right; a dashed line is a warning."
            yield Picture(f"monitor-{number}", caption, partial(draw_monitor, each))
        if each.notes:
            yield each.notes


def _named(trainings: Sequence[Training]) -> dict[str, Training]:
    """The training runs by name, those that share a name by folder."""
    counts = Counter(each.name for each in trainings)
    return {each.name if counts[each.name] == 1 else str(each.folder): each for each in trainings}


def _settings(runs: Sequence[Shown]) -> list[Block]:
    """The settings of the runs, with where each was found and when it was written."""
    settings = {}
    for shown in runs:
        day, time = shown.run.settings["results file"].split("_")[:2]
        settings[shown.name] = {
            "folder": str(shown.folder),
            "date (by the harness, in its time zone)": f"{day[:4]}-{day[4:6]}-{day[6:]} {time[:2]}:{time[2:4]}:{time[4:]}",
            **shown.run.settings,
        }
    return _settings_tables(settings, "The runs")


def _settings_tables(settings: Mapping[str, Mapping[str, str]], title: str) -> list[Block]:
    """The settings of runs by name: first what differs between them, then what they share."""
    if len(settings) == 1:
        (values,) = settings.values()
        return [make_block(title, ("what", "value"), values.items())]
    differ, alike = [], []
    for key in dict.fromkeys(key for values in settings.values() for key in values):
        first, *others = (values.get(key, "not said") for values in settings.values())
        if all(other == first for other in others):
            alike.append((key, first))
        else:
            differ.append((key, first, *others))
    different = make_block(f"{title}: what differs", ("what", *settings), differ)
    return with_rows([different, make_block(f"{title}: what is the same", ("what", "value"), alike)])


# --- several runs -----------------------------------------------------------------------------------------------------


def _of_each(runs: Sequence[Shown], parts_of: Callable[[Shown], Iterable[Block | Picture]]) -> Iterator[Part]:
    for shown in runs:
        yield from _about(shown, runs, parts_of(shown))


def _about(shown: Shown, runs: Sequence[Shown], parts: Iterable[Block | Picture]) -> Iterator[Part]:
    """Parts about one run; its letter is in the pictures' names and, beside other runs, in all captions."""
    for part in parts:
        if isinstance(part, Block):
            yield replace(part, title=_titled(part.title, shown, runs))
        else:
            yield Picture(f"{part.name}-{shown.key.lower()}", _titled(part.caption, shown, runs), part.draw)


def _titled(caption: str, shown: Shown, runs: Sequence[Shown]) -> str:
    """Beside other runs, a caption names its own."""
    if len(runs) == 1:
        return caption
    starts = caption[:2] if caption[:2].isupper() else caption[:2].lower()  # but not an abbreviation
    return f"{shown.name}: {starts}{caption[2:]}"
