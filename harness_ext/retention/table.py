"""Both models' scores beside each other, one table a suite: numbers of the stand-in and of benchmarks are never in one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table

from harness_ext.retention.benchmarks import TITLES, Benchmark, Suite
from harness_ext.retention.outcome import Outcome

_NONE = "none"


@dataclass(frozen=True)
class Pair:
    """One benchmark of both models."""

    benchmark: Benchmark
    before: Outcome
    after: Outcome


def print_table(suite: Suite, pairs: Sequence[Pair], console: Console) -> None:
    """Print a row for every metric: both scores, and the second less the first; then what the reader must know."""
    console.print(f"\n{TITLES[suite]}", style="bold", highlight=False)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("benchmark", "score", "before", "after", "difference", "asked"):
        table.add_column(name, justify="left" if name in ("benchmark", "score") else "right", no_wrap=name != "score")
    for pair in pairs:
        for number, metric in enumerate(pair.benchmark.metrics):
            before, after = pair.before.scores[metric.name], pair.after.scores[metric.name]
            change = None if before is None or after is None else after - before
            table.add_row(
                pair.benchmark.task if number == 0 else "",
                metric.title,
                _written(before),
                _written(after),
                _written(change, signed=True),
                str(pair.before.asked) if number == 0 else "",
            )
    console.print(table, highlight=False)
    for note in _notes(pairs):
        console.print(note, highlight=False, markup=False)


def _written(value: float | None, signed: bool = False) -> str:
    """Shares with three decimals, scores out of hundreds with one."""
    if value is None:
        return _NONE
    return f"{value:{'+' if signed else ''}.{1 if abs(value) > 2 else 3}f}"


def _notes(pairs: Sequence[Pair]) -> list[str]:
    notes = []
    if parts := {p.benchmark.task: p.before for p in pairs if p.before.asked < p.before.available}:
        listed = ", ".join(f"{task} {outcome.asked} of {outcome.available}" for task, outcome in parts.items())
        notes.append(f"Only a part was asked: {listed}.")
    failed: Mapping[str, tuple[int, int]] = {
        p.benchmark.task: (p.before.failed, p.after.failed) for p in pairs if p.before.failed or p.after.failed
    }
    for task, (before, after) in failed.items():
        notes.append(
            f"{task}: {before} requests failed before and {after} after; lmms-eval counts them as wrong answers."
        )
    if any(p.before.versions != p.after.versions for p in pairs):
        notes.append("Careful: the versions of tasks differ between the two models.")
    return notes
