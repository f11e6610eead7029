"""What tables are made of: blocks of cells, and how a number is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Final

from harness_ext.benchmark.probes import TextVariant
from harness_ext.metrics.units import Estimate
from harness_ext.report.scores import Score, Summary

TEXT_TITLES: Final[Mapping[TextVariant, str]] = {"none": "text-only", "blank": "text with a blank image"}
TEXT_ROWS: Final[Mapping[TextVariant, str]] = {"none": "Text-only alignment", "blank": "Text alignment, blank image"}
NOT_ASKED: Final = "not asked"
SCORE_HEADER: Final = ("na dropped", "na wrong", "na", "failed", "concepts", "asked")


@dataclass(frozen=True)
class Block:
    """A titled table of cells; a cell is its parts, to be put side by side or one above the other."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], ...], ...]


def number(value: float, signed: bool = False) -> str:
    """Three decimals; nan is said in words, never as a number."""
    return "none" if isnan(value) else f"{value:{'+' if signed else ''}.3f}"


def estimated(estimate: Estimate, signed: bool = False) -> tuple[str, ...]:
    """A value and, where it has one, its interval."""
    if estimate.low is None or estimate.high is None:
        return (number(estimate.value, signed),)
    return (number(estimate.value, signed), f"[{number(estimate.low, signed)}, {number(estimate.high, signed)}]")


def score_cells(score: Score) -> tuple[tuple[str, ...], ...]:
    """Accuracy in both conventions, and what it rests on: cells under ``SCORE_HEADER``."""
    return (
        estimated(score.drop),
        estimated(score.wrong),
        (number(score.na_rate),),
        (number(score.failed_rate),),
        (str(score.wrong.n_concepts),),
        (str(score.n_requests),),
    )


def gaps(summary: Summary) -> Block:
    """The modality gap, by text variant and estimator."""
    rows = []
    for variant, gap in summary.gap.items():
        for name, drop, wrong in (
            ("answers pooled", gap.drop.pooled, gap.wrong.pooled),
            ("mean over concepts", gap.drop.by_concept, gap.wrong.by_concept),
        ):
            concepts = (str(wrong.n_concepts),)
            rows.append(((f"{TEXT_TITLES[variant]}, {name}",), estimated(drop, True), estimated(wrong, True), concepts))
    return Block(
        "Modality gap (text-only minus image accuracy, unsafe concepts)",
        ("text side, estimator", "na dropped", "na wrong", "concepts"),
        tuple(rows),
    )
