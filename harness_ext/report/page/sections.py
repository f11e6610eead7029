"""A chapter as sections of tables, figures and notes: what the page shows, and what is written beside it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from harness_ext.report.calibration_figure import draw_calibration
from harness_ext.report.cells import Block
from harness_ext.report.figure import draw
from harness_ext.report.generalisation_table import generalisation_blocks
from harness_ext.report.likelihood_table import likelihood_blocks, likelihood_notes
from harness_ext.report.page.compared_figure import draw_compared
from harness_ext.report.page.comparison import comparison_parts
from harness_ext.report.page.monitor_figure import draw_monitor, is_watched
from harness_ext.report.page.parts import Notes, Part, Picture
from harness_ext.report.page.runs import Chapter, Shown
from harness_ext.report.page.tables import headline, run_settings, settings_tables
from harness_ext.report.page.training_figure import draw_training, panels
from harness_ext.report.page.verdict_figure import draw_verdicts
from harness_ext.report.table import by_category, notes


@dataclass(frozen=True)
class Section:
    """A titled part of a chapter.

    Attributes:
        name: Names it within its chapter.
        title: Its heading.
        parts: What it holds.
    """

    name: str
    title: str
    parts: tuple[Part, ...]


def sections(chapter: Chapter, margin: float) -> list[Section]:
    """The sections that have something to show; ``margin`` is the loss that counts as acceptable in a comparison."""
    runs = chapter.shown
    generated = [shown for shown in runs if shown.run.answers]
    pictured = [shown for shown in generated if "unsafe" in shown.summary.image]
    found = [
        Section("runs", "What was run", tuple(_what_was_run(runs))),
        Section("headline", "Headline", tuple([headline(generated)] if generated else [])),
        Section("comparison", "Differences", tuple(comparison_parts(generated, margin)) if generated else ()),
        Section(
            "compared",
            "Before and after" if any(r.role for r in runs) else "The runs beside each other",
            _compared(generated),
        ),
        Section("gap", "The modality gap", tuple(_gap(pictured))),
        Section("generalisation", "TEST, other data sets, and over-refusal", tuple(_generalisation(generated))),
        Section("categories", "By category", tuple(_categories(generated))),
        Section("likelihood", "By likelihood", tuple(_likelihood(runs))),
        Section("training", "Training", tuple(_training(chapter))),
    ]
    return [section for section in found if section.parts]


def _what_was_run(runs: Sequence[Shown]) -> Iterator[Part]:
    if runs:
        yield from settings_tables(run_settings(runs), "The runs")
    # Each said once, by whichever runs have it.
    said: dict[str, list[str]] = {}
    for shown in runs:
        elsewhere = likelihood_notes(shown.summary)
        for line in notes(shown.run, shown.summary):
            if line not in elsewhere:
                said.setdefault(line, []).append(shown.key)
    if said:
        yield Notes(
            tuple(line if len(keys) == len(runs) else f"{', '.join(keys)}: {line}" for line, keys in said.items())
        )


def _compared(runs: Sequence[Shown]) -> tuple[Part, ...]:
    if len(runs) < 2:
        return ()
    caption = f"Accuracy of the runs; {'; '.join(f'{shown.name}: {shown.run.model}' for shown in runs)}."
    return (Picture("compared", caption, partial(draw_compared, runs)),)


def _gap(runs: Sequence[Shown]) -> Iterator[Part]:
    for shown in runs:
        caption = "Accuracy on unsafe concepts in words and as images; the band between them is the modality gap."
        yield Picture(
            f"gap-{shown.key.lower()}",
            _about(shown, runs, caption),
            partial(draw, shown.run, shown.summary, titled=False),
        )


def _categories(runs: Sequence[Shown]) -> Iterator[Part]:
    for shown in runs:
        if "unsafe" in shown.summary.image:
            caption = "What the images of unsafe concepts were called."
            yield Picture(
                f"verdicts-{shown.key.lower()}",
                _about(shown, runs, caption),
                partial(draw_verdicts, shown.run),
            )
        for block in by_category(shown.summary):
            if block.rows:
                yield _titled(block, shown, runs)


def _generalisation(runs: Sequence[Shown]) -> Iterator[Part]:
    for shown in runs:
        for block in generalisation_blocks(shown.summary):
            yield _titled(block, shown, runs)


def _likelihood(runs: Sequence[Shown]) -> Iterator[Part]:
    asked = [shown for shown in runs if shown.summary.likelihood is not None]
    for shown in asked:
        for block in likelihood_blocks(shown.summary):
            yield _titled(block, shown, runs)
        caption = "How often answers by likelihood are right, against how sure they are."
        yield Picture(
            f"calibration-{shown.key.lower()}",
            _about(shown, runs, caption),
            partial(draw_calibration, shown.run, shown.summary, titled=False),
        )
    if asked:
        yield Notes(tuple(dict.fromkeys(line for shown in asked for line in likelihood_notes(shown.summary))))


def _training(chapter: Chapter) -> Iterator[Part]:
    # Two folders may bear one name.
    counts = Counter(each.name for each in chapter.trainings)
    named = {each.name if counts[each.name] == 1 else str(each.folder): each for each in chapter.trainings}
    if named:
        yield from settings_tables({name: each.settings for name, each in named.items()}, "The training runs")
    for number, (name, each) in enumerate(named.items(), start=1):
        if panels(each):
            caption = f"{name}: what was logged at each step, and its exponential moving average."
            yield Picture(f"training-{number}", caption, partial(draw_training, each))
        if is_watched(each):
            caption = f"{name}: what its reward and the judge that watched it call right; a dashed line is a warning."
            yield Picture(f"monitor-{number}", caption, partial(draw_monitor, each))
        if each.notes:
            yield Notes(each.notes)


def _titled(block: Block, shown: Shown, runs: Sequence[Shown]) -> Block:
    return Block(_about(shown, runs, block.title), block.header, block.rows)


def _about(shown: Shown, runs: Sequence[Shown], caption: str) -> str:
    if len(runs) == 1:
        return caption
    starts = caption[:2] if caption[:2].isupper() else caption[:2].lower()  # but not an abbreviation
    return f"{shown.name}: {starts}{caption[2:]}"
