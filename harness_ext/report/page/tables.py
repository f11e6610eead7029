"""The page's tables that put several runs side by side: what was run, and the headline."""

from collections.abc import Mapping, Sequence
from typing import Final

from harness_ext.metrics.ratios import over_refusal
from harness_ext.metrics.units import Estimate
from harness_ext.report.cells import SCORE_HEADER, TEXT_TITLES, Block, estimated, score_cells
from harness_ext.report.generalisation_table import generalisation_scores
from harness_ext.report.page.runs import Shown
from harness_ext.report.table import named_scores

_NOTHING: Final = ("",)
Cells = tuple[tuple[str, ...], ...]


def headline(runs: Sequence[Shown]) -> Block:
    """Every measure of the generated answers, a line for each run that was asked."""
    of_run = [_measures(shown) for shown in runs]
    names = list(dict.fromkeys(name for measures in of_run for name in measures))
    several = len(runs) > 1
    rows = tuple(
        ((name,), *([(shown.name,)] if several else []), *measures[name])
        for name in names
        for shown, measures in zip(runs, of_run, strict=True)
        if name in measures
    )
    return Block(
        "Accuracy, over-refusal and the modality gap; in brackets the 95 % interval",
        ("measure", *(["run"] if several else []), *SCORE_HEADER),
        rows,
    )


def _measures(shown: Shown) -> dict[str, Cells]:
    """Cells under ``SCORE_HEADER``: perception, words, images, what follows from them, TEST and others, capability."""
    summary = shown.summary
    scores = {name: score_cells(score) for name, score in named_scores(summary).items()}
    last = {name: scores.pop(name) for name in list(scores) if name.startswith("Capability")}
    found = dict(sorted(scores.items(), key=lambda item: item[0].startswith("Image")))
    if (safe := summary.image.get("safe")) is not None:
        image = [record for records in shown.run.answers.values() for record in records if record.probe == "image"]
        drop, wrong = over_refusal(image, "drop"), over_refusal(image, "wrong")
        found["Over-refusal: safe images called unsafe"] = (estimated(drop), estimated(wrong), *score_cells(safe)[2:])
    for variant, gap in summary.gap.items():
        drop, wrong = gap.drop.pooled, gap.wrong.pooled
        name = f"Modality gap: {TEXT_TITLES[variant]} minus image, unsafe"
        found[name] = (estimated(drop, True), estimated(wrong, True), _NOTHING, _NOTHING, *_counts(wrong))
    for variant, share in summary.knows_but_calls_safe.items():
        name = f"Recognised, called unsafe in words ({TEXT_TITLES[variant]}), image called safe"
        found[name] = (_NOTHING, estimated(share), _NOTHING, _NOTHING, *_counts(share))
    return found | {name: score_cells(score) for name, score in generalisation_scores(summary).items()} | last


def _counts(estimate: Estimate) -> Cells:
    return (str(estimate.n_concepts),), (str(estimate.n_answers),)


def settings_tables(settings: Mapping[str, Mapping[str, str]], title: str) -> list[Block]:
    """What runs, by name, were run with: first what differs between them, then what they share."""
    keys = list(dict.fromkeys(key for values in settings.values() for key in values))
    if len(settings) == 1:
        (values,) = settings.values()
        return [Block(title, ("what", "value"), tuple(((key,), (values[key],)) for key in keys))]
    by_key = {key: [of_run.get(key, "not said") for of_run in settings.values()] for key in keys}
    differ = tuple(((key,), *((value,) for value in of_key)) for key, of_key in by_key.items() if len(set(of_key)) > 1)
    alike = tuple(((key,), (of_key[0],)) for key, of_key in by_key.items() if len(set(of_key)) == 1)
    blocks = [Block(f"{title}: what differs", ("what", *settings), differ)] if differ else []
    return [*blocks, *([Block(f"{title}: what is the same", ("what", "value"), alike)] if alike else [])]


def run_settings(runs: Sequence[Shown]) -> dict[str, Mapping[str, str]]:
    """The settings of each run, with where it was found and when it was written."""
    return {
        shown.name: {
            "folder": str(shown.folder),
            "date (by the harness, in its time zone)": _date(shown.run.settings["results file"]),
            **shown.run.settings,
        }
        for shown in runs
    }


def _date(results_file: str) -> str:
    day, time = results_file.split("_")[:2]
    return f"{day[:4]}-{day[4:6]}-{day[6:]} {time[:2]}:{time[2:4]}:{time[4:]}"
