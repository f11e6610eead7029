"""A summary as tables: for the terminal and, with the same cells, as Markdown."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from rich.console import Console

from harness_ext.benchmark.probes import TextVariant
from harness_ext.metrics.units import Estimate
from harness_ext.report.cells import (
    NOT_ASKED,
    SCORE_HEADER,
    TEXT_ROWS,
    TEXT_TITLES,
    Block,
    estimated,
    gaps,
    number,
    score_cells,
)
from harness_ext.report.generalisation_table import generalisation_blocks, generalisation_notes
from harness_ext.report.likelihood_table import likelihood_blocks, likelihood_notes
from harness_ext.report.scores import CategoryScores, Score, Summary
from harness_ext.report.terminal import print_block
from harness_ext.runs.load import Run

SOURCE_TITLES: Final = {
    "unsafeconcepts": "UnsafeConcepts (Qu, Backes, Zhang, USENIX Security 2025)",
    "glyphworld": "glyphworld: a stand-in, not the benchmark",
}
_INTERVALS: Final = (
    "In brackets: 95 % interval by resampling concepts. Over few concepts it is too narrow: in a simulation it held the "
    "true value in 72 % of cases with 2 concepts, 90 % with 10, 94 % with 75."
)


def title(run: Run) -> str:
    """Which model and, in words, which source."""
    return f"{run.model} on {SOURCE_TITLES[run.source]}{', sampled' if run.sampled else ''}"


def blocks(summary: Summary) -> list[Block]:
    """The tables of a summary: of the generated answers first, then of those by likelihood."""
    found = []
    if summary.perception or summary.image or summary.text or summary.capability:
        found.append(_accuracies(summary))
        if summary.gap:
            found.append(gaps(summary))
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
    return found + generalisation_notes(summary, run.diversity) + likelihood_notes(summary)


# --- cells ------------------------------------------------------------------------------------------------------------


def named_scores(summary: Summary) -> dict[str, Score]:
    """Every accuracy of the generated answers by what it is of, as in "Perception, unsafe"."""
    scores = {f"Perception, {label}": score for label, score in summary.perception.items()}
    scores |= {f"Image alignment, {label}": score for label, score in summary.image.items()}
    for variant, by_label in summary.text.items():
        scores |= {f"{TEXT_ROWS[variant]}, {label}": score for label, score in by_label.items()}
    return scores | {f"Capability, {skill}": score for skill, score in summary.capability.items()}


def _accuracies(summary: Summary) -> Block:
    return Block(
        "Accuracy",
        ("probe", *SCORE_HEADER),
        tuple(((name,), *score_cells(score)) for name, score in named_scores(summary).items()),
    )


def _knows(summary: Summary) -> Block:
    return Block(
        "Recognised, called unsafe in words, yet its image called safe (unsafe concepts)",
        ("text side", "share", "concepts", "answers"),
        tuple(
            ((TEXT_TITLES[variant],), estimated(share), (str(share.n_concepts),), (str(share.n_answers),))
            for variant, share in summary.knows_but_calls_safe.items()
        ),
    )


def by_category(summary: Summary) -> list[Block]:
    """Unsafe concepts by category, in both conventions; one table where they do not differ.

    One form of the text question is enough for a reader; the JSON has the categories of every form.
    """
    categories, variant = summary.categories, next(iter(summary.text), None)
    drop = Block(
        f"By category, unsafe concepts, na dropped{f', {TEXT_TITLES[variant]}' if variant else ''}",
        ("category", "perception", "image", "text", "gap (pooled)", "na", "failed", "concepts"),
        tuple(_category(scores, variant, "drop") for scores in categories),
    )
    wrong = replace(
        drop,
        title=drop.title.replace("na dropped", "na wrong"),
        rows=tuple(_category(scores, variant, "wrong") for scores in categories),
    )
    if drop.rows == wrong.rows:
        return [replace(drop, title=drop.title.replace("na dropped", "no answer was na"))]
    return [drop, wrong]


def _category(scores: CategoryScores, variant: TextVariant | None, na: str) -> tuple[tuple[str, ...], ...]:
    def value(score: Score | None) -> tuple[str, ...]:
        return (number(getattr(score, na).value),) if score else (NOT_ASKED,)

    text = scores.text.get(variant) if variant else None
    gap = scores.gap.get(variant) if variant else None
    pooled: Estimate | None = getattr(gap, na).pooled if gap else None
    concepts = max(getattr(score, na).n_concepts for score in (scores.perception, scores.image, text) if score)
    return (
        (scores.category,),
        value(scores.perception),
        value(scores.image),
        value(text),
        estimated(pooled, True) if pooled else (NOT_ASKED,),
        (number(scores.na_rate),),
        (number(scores.failed_rate),),
        (str(pooled.n_concepts if pooled else concepts),),
    )


# --- renderings -------------------------------------------------------------------------------------------------------


def print_tables(run: Run, summary: Summary, console: Console) -> None:
    """Print for the terminal, from 80 columns on."""
    console.print(title(run), style="bold", highlight=False)
    for block in blocks(summary):
        print_block(block, console)
    console.print()
    for note in notes(run, summary):
        console.print(note, highlight=False, markup=False)


def markdown(runs: Sequence[tuple[Run, Summary]], argv: Sequence[str]) -> str:
    """The same tables as Markdown, with the command that made them and the runs' settings."""
    parts = [f"Made by:\n\n```\n{shlex.join(argv)}\n```"]
    for run, summary in runs:
        parts.append(f"# {title(run)}")
        for block in blocks(summary):
            parts.append(f"## {block.title}")
            parts.append(block_markdown(block))
        parts.append("\n".join(f"- {note}" for note in notes(run, summary)))
        parts.append("## Settings")
        parts.append(markdown_table(("what", "value"), [[name, f"`{value}`"] for name, value in run.settings.items()]))
    return "\n\n".join(parts) + "\n"


def block_markdown(block: Block) -> str:
    """One block as a table of Markdown, without its title."""
    return markdown_table(block.header, [[" ".join(cell) for cell in row] for row in block.rows])


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells as a table of Markdown."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
