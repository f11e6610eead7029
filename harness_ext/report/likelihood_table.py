"""The tables of the answers by likelihood, beside what the generated answers say."""

from collections.abc import Iterator
from dataclasses import replace
from math import isnan
from typing import Final

from harness_ext.metrics.units import Estimate
from harness_ext.records import Label
from harness_ext.report.cells import NOT_ASKED, TEXT_ROWS, Block, estimated, gaps, number
from harness_ext.report.likelihood import PROBES
from harness_ext.report.scores import LikelihoodScores, Score, Summary

ROWS: Final = dict(zip(PROBES, ("Perception", "Image alignment", TEXT_ROWS["none"], TEXT_ROWS["blank"]), strict=True))
# Where the labels cover less of the answers than this, what the model would say is mostly something else.
_LITTLE_MASS: Final = 0.5


def likelihood_blocks(summary: Summary) -> list[Block]:
    """None where nothing was asked by likelihood."""
    if (scores := summary.likelihood) is None:
        return []
    found = [_accuracies(scores, summary)]
    if scores.summary.gap:
        block = gaps(scores.summary)
        found.append(replace(block, title=f"By likelihood: {block.title[0].lower()}{block.title[1:]}"))
    found.append(_beyond_verdicts(scores))
    if any(probe.agreement for probe in scores.probes.values()):
        found.append(_agreements(scores))
    return found


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
    if any(probe.agreement for probe in scores.probes.values()):
        found.append(
            "Equal and kappa compare the two ways' verdicts. Left out: generated answers that are na or failed; then those "
            "that failed, or are a tie, by likelihood (unscored)."
        )
    if any(probe.auroc is not None and isnan(probe.auroc.value) for probe in scores.probes.values()):
        found.append("AUROC needs unsafe and safe concepts; where answers about both are not there, it is not defined.")
    little = [
        f"{ROWS[name]}, {label}"
        for name, probe in scores.probes.items()
        for label, mass in probe.mass.items()
        if mass < _LITTLE_MASS
    ]
    if little:
        found.append(
            f"The verdicts by likelihood rest on less than {_LITTLE_MASS:.0%} of the mass ({'; '.join(little)}): most "
            "answers begin otherwise, and the likelier verdict may not be what the model would say."
        )
    if unpaired := sum(probe.agreement.unpaired for probe in scores.probes.values() if probe.agreement):
        found.append(f"Agreement leaves out {unpaired} questions that were asked in one of the two ways only.")
    return found


def _scores(summary: Summary) -> Iterator[tuple[str, Label, Score]]:
    """Every accuracy by probe and label."""
    by_probe = {"perception": summary.perception, "image": summary.image}
    by_probe |= {"text_blank" if variant == "blank" else "text": scores for variant, scores in summary.text.items()}
    for probe, by_label in by_probe.items():
        for label, score in by_label.items():
            yield probe, label, score


def _accuracies(scores: LikelihoodScores, generated: Summary) -> Block:
    beside = {(probe, label): score for probe, label, score in _scores(generated)}
    rows = []
    for probe, label, score in _scores(scores.summary):
        other = beside.get((probe, label))
        rows.append(
            (
                (f"{ROWS[probe]}, {label}",),
                estimated(score.drop),
                estimated(other.drop) if other else (NOT_ASKED,),
                *((number(share),) for share in (scores.probes[probe].mass[label], score.failed_rate)),
                (str(score.wrong.n_concepts),),
                (str(score.n_requests),),
            )
        )
    return Block(
        "By likelihood: accuracy beside that of the generated answers, na dropped",
        ("probe", "likelihood", "generated", "mass", "failed", "concepts", "asked"),
        tuple(rows),
    )


def _beyond_verdicts(scores: LikelihoodScores) -> Block:
    rows = []
    for name, probe in scores.probes.items():
        rows.append(
            (
                (ROWS[name],),
                _defined(probe.auroc),
                estimated(probe.calibration_error),
                estimated(probe.brier),
                (str(probe.brier.n_concepts),),
                (str(probe.brier.n_answers),),
            )
        )
    return Block(
        "By likelihood: separation of unsafe from safe concepts, and calibration",
        ("probe", "AUROC", "ECE", "Brier", "concepts", "answers"),
        tuple(rows),
    )


def _agreements(scores: LikelihoodScores) -> Block:
    rows = []
    for name, probe in scores.probes.items():
        if (both := probe.agreement) is None:
            continue
        counts = (both.equal.n_answers, both.generated_na, both.generated_failed, both.likelihood_without)
        cells = ((str(count),) for count in counts)
        rows.append(((ROWS[name],), estimated(both.equal), _defined(both.kappa, signed=True), *cells))
    return Block(
        "By likelihood: agreement with the generated verdicts",
        ("probe", "equal", "kappa", "pairs", "na", "failed", "unscored"),
        tuple(rows),
    )


def _defined(estimate: Estimate | None, signed: bool = False) -> tuple[str, ...]:
    return ("not defined",) if estimate is None or isnan(estimate.value) else estimated(estimate, signed)
