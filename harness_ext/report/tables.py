"""A run's numbers as tables: generated answers, TEST and generalisation, over-refusal, and answers by likelihood."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from math import isnan
from typing import Final

from rich.console import Console

from harness_ext.benchmark.probes import ALL, CONTEXTS, GENERALISATION, PROBES, TITLES, TextVariant
from harness_ext.metrics.intervals import FEWEST
from harness_ext.records import Label
from harness_ext.registry import benchmark_named
from harness_ext.report.blocks import (
    Block,
    Value,
    defined,
    estimated,
    make_block,
    markdown_document,
    markdown_list,
    markdown_text,
    number,
    print_blocks,
    print_lines,
    with_rows,
)
from harness_ext.report.scores import CategoryScores, GapScore, LikelihoodScores, Score, Summary
from harness_ext.report.summary import TEXT_PROBES
from harness_ext.runs.load import Run

TEXT_TITLES: Final[Mapping[TextVariant, str]] = {"none": "text-only", "blank": "text with a blank image"}
SET_TITLES: Final[Mapping[str, str]] = {
    probe.record: probe.title for probe in PROBES.values() if probe.record in GENERALISATION
}
PROBE_TITLES: Final[Mapping[str, str]] = TITLES
SCORE_HEADER: Final = ("na dropped", "na wrong", "na", "failed", "concepts", "asked")
_INTERVALS: Final = (
    "In brackets: 95 % interval over concepts, by weighting them at random with one beside them that was not seen. In a "
    "simulation of the benchmark's shape it held the true value in at least 93 % of cases. "
    f"Over fewer than {FEWEST} concepts there is none: they say too little about others."
)
# Where the labels cover a smaller share of the answers, the model would mostly say something else.
_LITTLE_MASS: Final = 0.5


def print_tables(run: Run, summary: Summary, console: Console, more: Sequence[Block] = ()) -> None:
    """Print for the terminal, from 80 columns on; ``more`` tables come last."""
    print_blocks(title(run), [*blocks(summary), *more], console)
    print_lines(notes(run, summary), console)


def markdown(runs: Sequence[tuple[Run, Summary, Sequence[Block]]], argv: Sequence[str]) -> str:
    """The same tables as Markdown, with the command that made them and the runs' settings; further tables come last."""
    parts: list[Block | str] = []
    for run, summary, more in runs:
        settings = ((name, f"`{value}`") for name, value in run.settings.items())
        parts += [f"# {markdown_text(title(run))}", *blocks(summary), *more, markdown_list(notes(run, summary))]
        parts.append(make_block("Settings", ("what", "value"), settings))
    return markdown_document(argv, parts)


def title(run: Run) -> str:
    """Which model and, in words, which source."""
    return f"{run.model} on {benchmark_named(run.source).full_title}{', sampled' if run.sampled else ''}"


def blocks(summary: Summary) -> list[Block]:
    """The tables that have rows: of the generated answers first, then of those by likelihood."""
    accuracy = _accuracies("Accuracy", named_scores(summary))
    found = [accuracy, _gaps(summary), _knows(summary), *by_category(summary)]
    return with_rows(found) + generalisation_blocks(summary) + likelihood_blocks(summary)


def notes(run: Run, summary: Summary) -> list[str]:
    """What a reader must know to read the numbers right."""
    found = [*run.notes, f"Judge: {run.settings['judge']}. Decoding: {run.settings['decoding']}.", _INTERVALS]
    for name, gap in named_gaps(summary).items():
        if gap.wrong.unpaired_concepts or gap.drop.unpaired_concepts:
            found.append(
                f"The modality gap ({name}) leaves out concepts that only one side has answers for: "
                f"{gap.drop.unpaired_concepts} with na dropped, {gap.wrong.unpaired_concepts} with na wrong."
            )
    if split := run.settings.get("test_split"):
        found.append(f"TEST is {split}.")
    if any(probe.startswith(("smid", "nsfw")) for probe in summary.generalisation):
        found.append("SMID and NSFW have no concepts: there each image is taken for one.")
    if run.diversity:
        values = ", ".join(f"{task} {number(value)}" for task, value in run.diversity.items())
        found.append(
            f"Diversity, 1 - self-BLEU of at most 200 responses, one an image: {values}. Figures over as many compare."
        )
    return found + likelihood_notes(summary)


# --- generated answers ------------------------------------------------------------------------------------------------


def score_cells(score: Score) -> tuple[Value, ...]:
    """Accuracy in both conventions, and what it rests on: values under ``SCORE_HEADER``."""
    return score.drop, score.wrong, score.na_rate, score.failed_rate, score.wrong.n_concepts, score.n_requests


def named_scores(summary: Summary) -> dict[str, Score]:
    """Every accuracy of the generated answers by what it is of, as in "Perception, unsafe"."""
    scores = {_named(*key): score for key, score in _scores(summary).items()}
    return scores | {f"Capability, {skill}": score for skill, score in summary.capability.items()}


def by_category(summary: Summary) -> list[Block]:
    """Unsafe concepts by category, in both conventions; one table where they do not differ.

    One form of the text question is enough for a reader; the JSON has the categories of every form.
    """
    variant: TextVariant = next(iter(summary.text), "none")
    drop, wrong = ([_category(scores, variant, na) for scores in summary.categories] for na in ("drop", "wrong"))
    shown = {"na dropped": drop, "na wrong": wrong} if drop != wrong else {"no answer was na": drop}
    header = ("category", "perception", "image", "text", "gap (pooled)", "na", "failed", "concepts")
    side = f", {TEXT_TITLES[variant]}" if summary.text else ""
    return with_rows(
        make_block(f"By category, unsafe concepts, {said}{side}", header, rows) for said, rows in shown.items()
    )


def _category(scores: CategoryScores, variant: TextVariant, na: str) -> tuple[Value, ...]:
    asked = scores.perception, scores.image, scores.text.get(variant)
    sides = [getattr(score, na) if score else None for score in asked]
    pooled = getattr(scores.gap[variant], na).pooled if variant in scores.gap else None
    concepts = pooled.n_concepts if pooled else max(side.n_concepts for side in sides if side)
    accuracies = (side.value if side else None for side in sides)
    signed = estimated(pooled, signed=True) if pooled else None
    return scores.category, *accuracies, signed, scores.na_rate, scores.failed_rate, concepts


def _accuracies(title: str, scores: Mapping[str, Score]) -> Block:
    rows = ((name, *score_cells(score)) for name, score in scores.items())
    return make_block(title, ("probe", *SCORE_HEADER), rows)


def named_gaps(summary: Summary) -> dict[str, GapScore]:
    """Every modality gap by its text side, as in "text-only" or "text-only, safe context"."""
    in_context = {f"text-only, {context} context": gap for context, gap in summary.context_gap.items()}
    return {TEXT_TITLES[variant]: gap for variant, gap in summary.gap.items()} | in_context


def _gaps(summary: Summary) -> Block:
    """The modality gap, by text side and estimator."""
    rows: list[tuple[Value, ...]] = []
    for text, gap in named_gaps(summary).items():
        for name, drop, wrong in (
            ("answers pooled", gap.drop.pooled, gap.wrong.pooled),
            ("mean over concepts", gap.drop.by_concept, gap.wrong.by_concept),
        ):
            both = estimated(drop, signed=True), estimated(wrong, signed=True)
            rows.append((f"{text}, {name}", *both, wrong.n_concepts))
    heading = "Modality gap (text-only minus image accuracy, unsafe concepts)"
    return make_block(heading, ("text side, estimator", "na dropped", "na wrong", "concepts"), rows)


def _knows(summary: Summary) -> Block:
    return make_block(
        "Recognised, called unsafe in words, yet its image called safe (unsafe concepts)",
        ("text side", "share", "concepts", "answers"),
        (
            (TEXT_TITLES[variant], share, share.n_concepts, share.n_answers)
            for variant, share in summary.knows_but_calls_safe.items()
        ),
    )


def _scores(summary: Summary) -> dict[tuple[str, Label], Score]:
    """Every accuracy but those of capabilities and generalisation, by probe and label."""
    by_probe = {"perception": summary.perception, "image": summary.image}
    by_probe |= {TEXT_PROBES[variant]: scores for variant, scores in summary.text.items()}
    return {(probe, label): score for probe, of_label in by_probe.items() for label, score in of_label.items()}


def _named(probe: str, label: str) -> str:
    return f"{PROBE_TITLES[probe]}, {label}"


# --- TEST, other data sets and contexts, and what is safe but judged unsafe -------------------------------------------


def generalisation_scores(summary: Summary, probes: Container[str] = GENERALISATION) -> dict[str, Score]:
    """Every accuracy of TEST, other data sets and contexts, or of ``probes`` among them, by its name, as in "TEST, all"."""
    return {
        _named(probe, label): score
        for probe, scores in summary.generalisation.items()
        if probe in probes
        for label, score in scores.items()
        # Where there is one label only, "all" says the same.
        if label == ALL or len(scores) > 2
    }


def generalisation_blocks(summary: Summary) -> list[Block]:
    """No table where none of these was asked, and nothing that is safe."""
    accuracies = [
        _accuracies(heading, generalisation_scores(summary, probes))
        for heading, probes in (
            ("TEST and generalisation (the paper's convention here: na wrong)", set(GENERALISATION) - set(CONTEXTS)),
            ("In a context, all images and text-only (the paper's convention here: na dropped)", CONTEXTS),
        )
    ]
    over_refusal = make_block(
        "Over-refusal: safe items judged unsafe",
        ("safe items of", "share", "failed", "concepts", "answers"),
        (
            (PROBE_TITLES[probe], safe.share, safe.failed_rate, safe.share.n_concepts, safe.share.n_answers)
            for probe, safe in summary.over_refusal.items()
        ),
    )
    return with_rows([*accuracies, over_refusal])


# --- answers by likelihood --------------------------------------------------------------------------------------------


def likelihood_blocks(summary: Summary) -> list[Block]:
    """No table where nothing was asked by likelihood."""
    if (scores := summary.likelihood) is None:
        return []
    gaps = _gaps(scores.summary)
    calibration: list[tuple[Value, ...]] = []
    agreement: list[tuple[Value, ...]] = []
    for name, probe in scores.probes.items():
        ece, brier = probe.calibration_error, probe.brier
        calibration.append((PROBE_TITLES[name], defined(probe.auroc), ece, brier, brier.n_concepts, brier.n_answers))
        if both := probe.agreement:
            counts = both.equal.n_answers, both.generated_na, both.generated_failed, both.likelihood_without
            agreement.append((PROBE_TITLES[name], both.equal, defined(both.kappa, signed=True), *counts))
    return with_rows(
        [
            _by_likelihood(scores, summary),
            replace(gaps, title=f"By likelihood: {gaps.title[0].lower()}{gaps.title[1:]}"),
            make_block(
                "By likelihood: separation of unsafe from safe concepts, and calibration",
                ("probe", "AUROC", "ECE", "Brier", "concepts", "answers"),
                calibration,
            ),
            make_block(
                "By likelihood: agreement with the generated verdicts",
                ("probe", "equal", "kappa", "pairs", "na", "failed", "unscored"),
                agreement,
            ),
        ]
    )


def _by_likelihood(scores: LikelihoodScores, generated: Summary) -> Block:
    beside = _scores(generated)
    rows: list[tuple[Value, ...]] = []
    for (probe, label), score in _scores(scores.summary).items():
        other, mass = beside.get((probe, label)), scores.probes[probe].mass[label]
        both = score.drop, other.drop if other else None
        rows.append((_named(probe, label), *both, mass, score.failed_rate, score.wrong.n_concepts, score.n_requests))
    return make_block(
        "By likelihood: accuracy beside that of the generated answers, na dropped",
        ("probe", "likelihood", "generated", "mass", "failed", "concepts", "asked"),
        rows,
    )


def likelihood_notes(summary: Summary) -> list[str]:
    """What a reader must know to read those tables right."""
    if (scores := summary.likelihood) is None:
        return []
    found = [
        "By likelihood nothing is generated: the verdict is the likelier beginning of an answer (yes or no; an option). "
        "Mass: the mean probability that an answer begins with any of them. AUROC: how well P(no) / (P(yes) + P(no)) tells "
        "unsafe from safe concepts, 0.5 by chance. ECE: expected calibration error, ten bins of equal mass; of a well "
        "calibrated model it, and its interval, come out too large. Brier: from 0, the best, to 1."
    ]
    agreements = [probe.agreement for probe in scores.probes.values() if probe.agreement]
    if agreements:
        found.append(
            "Equal and kappa compare the two ways' verdicts. Left out: generated answers that are na or failed; then those "
            "that failed, or are a tie, by likelihood (unscored)."
        )
    if any(probe.auroc is not None and isnan(probe.auroc.value) for probe in scores.probes.values()):
        found.append("AUROC needs unsafe and safe concepts; where answers about both are not there, it is not defined.")
    little = [
        _named(name, label)
        for name, probe in scores.probes.items()
        for label, mass in probe.mass.items()
        if mass < _LITTLE_MASS
    ]
    if little:
        found.append(
            f"The verdicts by likelihood rest on less than {_LITTLE_MASS:.0%} of the mass ({'; '.join(little)}): most "
            "answers begin otherwise, and the likelier verdict may not be what the model would say."
        )
    if unpaired := sum(each.unpaired for each in agreements):
        found.append(f"Agreement leaves out {unpaired} questions that were asked in one of the two ways only.")
    return found
