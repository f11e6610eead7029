"""How well judges read labelled responses: accuracy by question and by kind of answer, with exact 95 % intervals.

    python benchmarks/judges.py tests/harness_ext/judges/unseen.jsonl --judge rules [--judge NAME:k=v,k=v …]
        [--misses] [--json PATH] [--markdown PATH]

A line is a response with its label, as in tests/harness_ext/judges: ``{"question", "response", "verdict", "kind"}`` or
``{"options", "response", "choice", "kind"}``. Several files are told apart by their names, never pooled. A judge that needs
weights that are not at hand is simply not named.
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness_ext.common.errors import UserError
from harness_ext.judges.base import AlignmentAnswer, Answer, verdicts
from harness_ext.judges.lines import BadInputError, read_answer
from harness_ext.judges.registry import JudgeSpec, read_spec
from harness_ext.metrics.agreement import Labelled, Share, against_labels
from harness_ext.report.blocks import markdown_table


@dataclass(frozen=True)
class Response:
    """A labelled response."""

    answer: Answer
    label: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """One judge's reading of one file: its numbers by part, its misses as (label, verdict, response)."""

    file: str
    judge: str
    asked_by: str
    answers_a_second: float
    parts: dict[str, Labelled]
    misses: list[tuple[str, str, str]]


def read_responses(path: Path) -> list[Response]:
    """The labelled responses of a file. Raises ``UserError``, naming file and line."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row, answer = read_answer(line)
        except BadInputError as error:
            raise UserError(f"{path}, line {number}: {error}") from error
        alignment = isinstance(answer, AlignmentAnswer)
        probe, label = ("alignment", "verdict") if alignment else ("perception", "choice")
        if label not in row or "kind" not in row:
            raise UserError(f'{path}, line {number}: expected "{label}" and "kind", found {", ".join(row)}')
        parts = [probe, f"{probe}: {row['kind']}"]
        if isinstance(answer, AlignmentAnswer):
            parts.append(f"{probe}, question {answer.question}")
        found.append(Response(answer, row[label], tuple(parts)))
    return found


def read_by(spec: JudgeSpec, path: Path) -> Reading:
    """Let a judge read a file; loading it is not timed."""
    judge, responses = spec.open(), read_responses(path)
    begun = time.perf_counter()
    said = list(verdicts(judge, [response.answer for response in responses]))
    seconds = time.perf_counter() - begun
    pairs = list(zip(responses, said, strict=True))
    parts = {part: [] for part in sorted({part for response in responses for part in response.parts})}
    for response, verdict in pairs:
        for part in response.parts:
            parts[part].append((response.label, verdict))
    return Reading(
        file=path.name,
        judge=judge.name,
        asked_by=str(spec),
        answers_a_second=len(responses) / seconds,
        parts={part: against_labels(each) for part, each in parts.items()},
        misses=[(each.label, verdict, each.answer.response) for each, verdict in pairs if each.label != verdict],
    )


def cells(readings: Sequence[Reading], part: str) -> list[str]:
    """A part's row: of each judge accuracy, and the rates of ``na`` and ``failed`` where there are any."""
    row = [part, str(readings[0].parts[part].failed.of)]
    for reading in readings:
        found = reading.parts[part]
        rates = f"{found.na.value:.3f}" if found.na.of else "none"
        row += [_accuracy(found.accuracy), rates, f"{found.failed.value:.3f}"]
    return row


def _accuracy(share: Share) -> str:
    if share.low is None or share.high is None:
        return "none"
    return f"{share.value:.3f} [{share.low:.3f}, {share.high:.3f}]"


def tables(readings: Sequence[Reading]) -> list[tuple[str, list[str], list[list[str]]]]:
    """A title, a header and rows for each file; its judges stand side by side."""
    found = []
    for file in dict.fromkeys(reading.file for reading in readings):
        of_file = [reading for reading in readings if reading.file == file]
        header = ["", "answers", *(name for each in of_file for name in (each.judge, "na", "failed"))]
        rows = [cells(of_file, part) for part in of_file[0].parts]
        rows.append(["answers a second", ""] + [c for r in of_file for c in (f"{r.answers_a_second:.0f}", "", "")])
        found.append((f"accuracy on {file}", header, rows))
    return found


def main() -> int:
    """Judge every file by every judge, print the tables, and write the same figures if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labelled", type=Path, nargs="+")
    parser.add_argument("--judge", action="append", metavar="NAME[:k=v,…]", help="may be repeated (default: rules)")
    parser.add_argument("--misses", action="store_true", help="print every response that was read wrong")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    try:
        specs = [read_spec(text) for text in options.judge or ["rules"]]
        readings = [read_by(spec, path) for path in options.labelled for spec in specs]
    except UserError as error:
        print(f"judges.py: {error}", file=sys.stderr)
        return 2
    width = max(100, 40 + 42 * len(specs))
    console = Console(width=width)
    for title, header, rows in tables(readings):
        table = Table(*header, title=title)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for reading in readings if options.misses else ():
        for label, verdict, response in reading.misses:
            text = f"{reading.judge}: expected {label}, read {verdict}: {response!r}"
            console.print(text, markup=False, highlight=False)
    if options.json:
        written = [asdict(reading) for reading in readings]
        for each in written:
            del each["misses"]
        options.json.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        parts = [f"Made by:\n\n```\n{shlex.join(['python', *sys.argv])}\n```"]
        for title, header, rows in tables(readings):
            parts += [f"## {title.capitalize()}", markdown_table(header, rows)]
        options.markdown.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
