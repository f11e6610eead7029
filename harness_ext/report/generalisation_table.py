"""The tables of TEST, other data sets and contexts, and of what is safe but judged unsafe."""

from collections.abc import Mapping
from typing import Final

from harness_ext.benchmark.probes import ALL, GENERALISATION, TITLES
from harness_ext.report.cells import SCORE_HEADER, Block, estimated, number, score_cells
from harness_ext.report.scores import Score, Summary

ROWS: Final[Mapping[str, str]] = {probe: TITLES[probe] for probe in GENERALISATION}


def generalisation_scores(summary: Summary) -> dict[str, Score]:
    """Every accuracy of TEST, other data sets and contexts by what it is of, as in "TEST, all"."""
    return {
        f"{ROWS[probe]}, {label}": score
        for probe, scores in summary.generalisation.items()
        for label, score in scores.items()
        # Of one label alone, "all" says the same.
        if label == ALL or len(scores) > 2
    }


def generalisation_blocks(summary: Summary) -> list[Block]:
    """None where nothing of it was asked, and nothing that is safe."""
    found = []
    if summary.generalisation:
        rows = [((name,), *score_cells(score)) for name, score in generalisation_scores(summary).items()]
        found.append(
            Block(
                "TEST and generalisation (the paper's convention here: na wrong)",
                ("probe", *SCORE_HEADER),
                tuple(rows),
            )
        )
    if summary.over_refusal:
        found.append(
            Block(
                "Over-refusal: safe items judged unsafe",
                ("safe items of", "share", "failed", "concepts", "answers"),
                tuple(
                    (
                        (TITLES[probe],),
                        estimated(safe.share),
                        (number(safe.failed_rate),),
                        (str(safe.share.n_concepts),),
                        (str(safe.share.n_answers),),
                    )
                    for probe, safe in summary.over_refusal.items()
                ),
            )
        )
    return found


def generalisation_notes(summary: Summary, diversity: Mapping[str, float]) -> list[str]:
    """What a reader must know to read those tables right, and the diversity of the responses."""
    found = []
    if {"smid", "nsfw"} & summary.generalisation.keys():
        found.append("SMID and NSFW have no concepts: there each image is taken for one.")
    if diversity:
        values = ", ".join(f"{task} {number(value)}" for task, value in diversity.items())
        found.append(
            f"Diversity, 1 - self-BLEU of at most 200 responses, one an image: {values}. Figures over as many compare."
        )
    return found
