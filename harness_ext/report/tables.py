"""A run's numbers as tables: generated answers, TEST and generalisation, over-refusal, and answers by likelihood."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import isnan
from typing import Final

from rich.console import Console

from harness_ext.benchmark.probes import ALL, TextVariant
from harness_ext.records import Label
from harness_ext.report.blocks import (
    Block,
    Cell,
    counted,
    defined,
    estimated,
    markdown_document,
    markdown_list,
    number,
    print_blocks,
    print_lines,
)
from harness_ext.report.scores import CategoryScores, LikelihoodScores, Score, Summary
from harness_ext.report.summary import TEXT_PROBES
from harness_ext.runs.load import Run

SOURCE_TITLES: Final = {
    "unsafeconcepts": "UnsafeConcepts (Qu, Backes, Zhang, USENIX Security 2025)",
    "glyphworld": "glyphworld: a stand-in, not the benchmark",
}
TEXT_TITLES: Final[Mapping[TextVariant, str]] = {"none": "text-only", "blank": "text with a blank image"}
SET_TITLES: Final[Mapping[str, str]] = {
    "test": "TEST",
    "smid": "SMID",
    "nsfw": "NSFW",
    "context_safe": "Safe context",
    "context_unsafe": "Unsafe context",
}
PROBE_TITLES: Final[Mapping[str, str]] = {
    "perception": "Perception",
    "image": "Image alignment",
    "text": "Text-only alignment",
    "text_blank": "Text alignment, blank image",
    **SET_TITLES,
}
SCORE_HEADER: Final = ("na dropped", "na wrong", "na", "failed", "concepts", "asked")
_NOT_ASKED: Final = "not asked"
_INTERVALS: Final = (
    "In brackets: 95 % interval by resampling concepts. Over few concepts it is too narrow: in a simulation it held the "
    "true value in 72 % of cases with 2 concepts, 90 % with 10, 94 % with 75."
)
# Where the labels cover less of the answers than this, what the model would say is mostly something else.
_LITTLE_MASS: Final = 0.5


def print_tables(run: Run, summary: Summary, console: Console, more: Sequence[Block] = ()) -> None:
    """Print for the terminal, from 80 columns on; ``more`` tables come last."""
    print_blocks(title(run), [*blocks(summary), *more], console)
    print_lines(notes(run, summary), console)


def markdown(runs: Sequence[tuple[Run, Summary, Sequence[Block]]], argv: Sequence[str]) -> str:
    """The same tables as Markdown, with the command that made them and the runs' settings; further tables come last."""
    parts: list[Block | str] = []
    for run, summary, more in runs:
        parts += [f"# {title(run)}", *blocks(summary), *more, markdown_list(notes(run, summary))]
        settings = tuple(((name,), (f"`{value}`",)) for name, value in run.settings.items())
        parts.append(Block("Settings", ("what", "value"), settings))
    return markdown_document(argv, parts)


def title(run: Run) -> str:
    """Which model and, in words, which source."""
    return f"{run.model} on {SOURCE_TITLES[run.source]}{', sampled' if run.sampled else ''}"


def blocks(summary: Summary) -> list[Block]:
    """The tables of a summary: of the generated answers first, then of those by likelihood."""
    found = []
    if summary.perception or summary.image or summary.text or summary.capability:
        rows = tuple(((name,), *score_cells(score)) for name, score in named_scores(summary).items())
        found.append(Block("Accuracy", ("probe", *SCORE_HEADER), rows))
        if summary.gap:
            found.append(_gaps(summary))
        if summary.knows_but_calls_safe:
            found.append(_knows(summary))
        found.extend(by_category(summary))
    return found + generalisation_blocks(summary) + likelihood_blocks(summary)


def notes(run: Run, summary: Summary) -> list[str]:
    """What a reader must know to read the numbers right."""
    found = [*run.notes, f"Judge: {run.settings['judge']}. Decoding: {run.settings['decoding']}.", _INTERVALS]
    for variant, gap in summary.gap.items():
        if gap.wrong.unpaired_concepts or gap.drop.unpaired_concepts:
            found.append(
                f"The modality gap ({TEXT_TITLES[variant]}) leaves out concepts that only one side has answers for: "
                f"{gap.drop.unpaired_concepts} with na dropped, {gap.wrong.unpaired_concepts} with na wrong."
            )
    if {"smid", "nsfw"} & summary.generalisation.keys():
        found.append("SMID and NSFW have no concepts: there each image is taken for one.")
    if run.diversity:
        values = ", ".join(f"{task} {number(value)}" for task, value in run.diversity.items())
        found.append(
            f"Diversity, 1 - self-BLEU of at most 200 responses, one an image: {values}. Figures over as many compare."
        )
    return found + likelihood_notes(summary)


# --- generated answers ------------------------------------------------------------------------------------------------


def score_cells(score: Score) -> tuple[Cell, ...]:
    """Accuracy in both conventions, and what it rests on: cells under ``SCORE_HEADER``."""
    rates = (number(score.na_rate),), (number(score.failed_rate),)
    return estimated(score.drop), estimated(score.wrong), *rates, *counted(score.wrong.n_concepts, score.n_requests)


def named_scores(summary: Summary) -> dict[str, Score]:
    """Every accuracy of the generated answers by what it is of, as in "Perception, unsafe"."""
    scores = {f"{PROBE_TITLES[probe]}, {label}": score for probe, label, score in _scores(summary)}
    return scores | {f"Capability, {skill}": score for skill, score in summary.capability.items()}


def by_category(summary: Summary) -> list[Block]:
    """Unsafe concepts by category, in both conventions; one table where they do not differ.

    One form of the text question is enough for a reader; the JSON has the categories of every form.
    """
    categories, variant = summary.categories, next(iter(summary.text), None)
    drop, wrong = (tuple(_category(scores, variant, na) for scores in categories) for na in ("drop", "wrong"))
    shown = {"na dropped": drop, "na wrong": wrong} if drop != wrong else {"no answer was na": drop}
    return [
        Block(
            f"By category, unsafe concepts, {said}{f', {TEXT_TITLES[variant]}' if variant else ''}",
            ("category", "perception", "image", "text", "gap (pooled)", "na", "failed", "concepts"),
            rows,
        )
        for said, rows in shown.items()
    ]


def _category(scores: CategoryScores, variant: TextVariant | None, na: str) -> tuple[Cell, ...]:
    text = scores.text.get(variant) if variant else None
    gap = scores.gap.get(variant) if variant else None
    sides = [getattr(score, na) if score else None for score in (scores.perception, scores.image, text)]
    pooled = getattr(gap, na).pooled if gap else None
    concepts = pooled.n_concepts if pooled else max(side.n_concepts for side in sides if side)
    return (
        (scores.category,),
        *((number(side.value) if side else _NOT_ASKED,) for side in sides),
        estimated(pooled, True) if pooled else (_NOT_ASKED,),
        (number(scores.na_rate),),
        (number(scores.failed_rate),),
        *counted(concepts),
    )


def _gaps(summary: Summary) -> Block:
    """The modality gap, by text variant and estimator."""
    rows = []
    for variant, gap in summary.gap.items():
        for name, drop, wrong in (
            ("answers pooled", gap.drop.pooled, gap.wrong.pooled),
            ("mean over concepts", gap.drop.by_concept, gap.wrong.by_concept),
        ):
            cells = estimated(drop, True), estimated(wrong, True), *counted(wrong.n_concepts)
            rows.append(((f"{TEXT_TITLES[variant]}, {name}",), *cells))
    return Block(
        "Modality gap (text-only minus image accuracy, unsafe concepts)",
        ("text side, estimator", "na dropped", "na wrong", "concepts"),
        tuple(rows),
    )


def _knows(summary: Summary) -> Block:
    return Block(
        "Recognised, called unsafe in words, yet its image called safe (unsafe concepts)",
        ("text side", "share", "concepts", "answers"),
        tuple(
            ((TEXT_TITLES[variant],), estimated(share), *counted(share.n_concepts, share.n_answers))
            for variant, share in summary.knows_but_calls_safe.items()
        ),
    )


def _scores(summary: Summary) -> Iterator[tuple[str, Label, Score]]:
    """Every accuracy but those of capabilities and generalisation, with its probe and label."""
    by_probe = {"perception": summary.perception, "image": summary.image}
    by_probe |= {TEXT_PROBES[variant]: scores for variant, scores in summary.text.items()}
    for probe, by_label in by_probe.items():
        for label, score in by_label.items():
            yield probe, label, score


# --- TEST, other data sets and contexts, and what is safe but judged unsafe -------------------------------------------


def generalisation_scores(summary: Summary) -> dict[str, Score]:
    """Every accuracy of TEST, other data sets and contexts by what it is of, as in "TEST, all"."""
    return {
        f"{SET_TITLES[probe]}, {label}": score
        for probe, scores in summary.generalisation.items()
        for label, score in scores.items()
        # Where there is one label only, "all" says the same.
        if label == ALL or len(scores) > 2
    }


def generalisation_blocks(summary: Summary) -> list[Block]:
    """No table where none of these was asked, and nothing that is safe."""
    found = []
    if summary.generalisation:
        rows = tuple(((name,), *score_cells(score)) for name, score in generalisation_scores(summary).items())
        heading = "TEST and generalisation (the paper's convention here: na wrong)"
        found.append(Block(heading, ("probe", *SCORE_HEADER), rows))
    if summary.over_refusal:
        rows = tuple(
            (
                (PROBE_TITLES[probe],),
                estimated(safe.share),
                (number(safe.failed_rate),),
                *counted(safe.share.n_concepts, safe.share.n_answers),
            )
            for probe, safe in summary.over_refusal.items()
        )
        header = ("safe items of", "share", "failed", "concepts", "answers")
        found.append(Block("Over-refusal: safe items judged unsafe", header, rows))
    return found


# --- answers by likelihood --------------------------------------------------------------------------------------------


def likelihood_blocks(summary: Summary) -> list[Block]:
    """No table where nothing was asked by likelihood."""
    if (scores := summary.likelihood) is None:
        return []
    found = [_by_likelihood(scores, summary)]
    if scores.summary.gap:
        block = _gaps(scores.summary)
        found.append(replace(block, title=f"By likelihood: {block.title[0].lower()}{block.title[1:]}"))
    rows = tuple(
        (
            (PROBE_TITLES[name],),
            defined(probe.auroc),
            estimated(probe.calibration_error),
            estimated(probe.brier),
            *counted(probe.brier.n_concepts, probe.brier.n_answers),
        )
        for name, probe in scores.probes.items()
    )
    heading = "By likelihood: separation of unsafe from safe concepts, and calibration"
    found.append(Block(heading, ("probe", "AUROC", "ECE", "Brier", "concepts", "answers"), rows))
    rows = tuple(
        (
            (PROBE_TITLES[name],),
            estimated(both.equal),
            defined(both.kappa, signed=True),
            *counted(both.equal.n_answers, both.generated_na, both.generated_failed, both.likelihood_without),
        )
        for name, probe in scores.probes.items()
        if (both := probe.agreement)
    )
    if rows:
        header = ("probe", "equal", "kappa", "pairs", "na", "failed", "unscored")
        found.append(Block("By likelihood: agreement with the generated verdicts", header, rows))
    return found


def _by_likelihood(scores: LikelihoodScores, generated: Summary) -> Block:
    beside = {(probe, label): score for probe, label, score in _scores(generated)}
    rows = []
    for probe, label, score in _scores(scores.summary):
        other = beside.get((probe, label))
        rows.append(
            (
                (f"{PROBE_TITLES[probe]}, {label}",),
                estimated(score.drop),
                estimated(other.drop) if other else (_NOT_ASKED,),
                (number(scores.probes[probe].mass[label]),),
                (number(score.failed_rate),),
                *counted(score.wrong.n_concepts, score.n_requests),
            )
        )
    return Block(
        "By likelihood: accuracy beside that of the generated answers, na dropped",
        ("probe", "likelihood", "generated", "mass", "failed", "concepts", "asked"),
        tuple(rows),
    )


def likelihood_notes(summary: Summary) -> list[str]:
    """What a reader must know to read those tables right."""
    if (scores := summary.likelihood) is None:
        return []
    found = [
        "By likelihood nothing is generated: the verdict is the likelier beginning of an answer (yes or no; an option). "
        "Mass: the mean probability that an answer begins with any of them. AUROC: how well P(no) / (P(yes) + P(no)) tells "
        "unsafe from safe concepts, 0.5 by chance. ECE: expected calibration error, ten bins of equal mass; of a well "
        "calibrated model it comes out too large. Brier: from 0, the best, to 1."
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
        f"{PROBE_TITLES[name]}, {label}"
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
