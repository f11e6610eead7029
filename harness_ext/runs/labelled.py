"""Labelled responses for ``train-judge``, read from files of JSON lines and from the folders of evaluations.

Other keys of a line than ``response`` and its label are ignored, for a classifier reads the response alone.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from harness_ext.benchmark.probes import PROBES
from harness_ext.common.errors import UserError
from harness_ext.judges.classifier import LABELS, Kind
from harness_ext.judges.classifier.examples import Example, LabelledResponses
from harness_ext.records import FAILED
from harness_ext.runs.load import load_runs
from harness_ext.runs.samples import read_rows

_KEYS: Final[Mapping[Kind, str]] = {"alignment": "verdict", "perception": "choice"}
# Without questions in a context: there, "yes" can mean that something unsafe elsewhere is right.
_PROBES: Final[Mapping[Kind, tuple[str, ...]]] = {
    "alignment": tuple(probe.record for probe in PROBES if probe.asks == "alignment" and not probe.context),
    "perception": ("perception",),
}


def read_labelled(paths: Sequence[Path], kind: Kind | None) -> LabelledResponses:
    """Read the rows of one kind from files and run folders; ``None`` is the kind of all of them.

    Raises:
        UserError: A row is invalid (with file and line); there are rows of both kinds and ``kind`` is ``None``, or none of
            ``kind``; or answers come from the benchmark and from its stand-in together.
    """
    counts: Counter[tuple[Kind, str, str]] = Counter()
    origin, sources = [], set()
    for path in paths:
        before = counts.total()
        if path.is_dir():
            judges, found = _read_run(path, counts)
            sources |= found
            origin.append(
                f"{path.name}: {counts.total() - before} answers to {', '.join(found)}, as {judges} read them"
            )
        else:
            counts.update(_lines(path))
            origin.append(f"{path.name}: {counts.total() - before} labelled responses")
    if len(sources) > 1:
        raise UserError(
            f"expected answers from one source, found {' and '.join(sorted(sources))}: train a judge for each"
        )
    kinds = list(dict.fromkeys(found for found, _, _ in counts))
    if kind is None:
        if len(kinds) != 1:
            raise UserError(
                f"found rows of {' and '.join(kinds) or 'no kind'}: say which by --probe {'|'.join(LABELS)}"
            )
        kind = kinds[0]
    examples = sorted(Example(text, label, count) for (of, text, label), count in counts.items() if of == kind)
    if not examples:
        raise UserError(f"expected rows of {kind}, found none among {counts.total()}")
    return LabelledResponses(kind, tuple(examples), tuple(origin), "glyphworld" in sources)


def _lines(path: Path) -> Iterator[tuple[Kind, str, str]]:
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _labelled(line, f"{path}, line {number}: ")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); expected a file of JSON lines, or a run's folder") from error


def _labelled(line: str, where: str) -> tuple[Kind, str, str]:
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{where}expected one JSON object, found {line.strip()[:60]!r} ({error})") from error
    kinds = [kind for kind, key in _KEYS.items() if isinstance(row, dict) and key in row]
    if len(kinds) != 1 or "response" not in row:
        found = ", ".join(map(str, row)) if isinstance(row, dict) else type(row).__name__
        raise UserError(
            f'{where}expected the keys "response" and either "verdict" or "choice", found {found or "none"}'
        )
    kind, response, label = kinds[0], row["response"], row[_KEYS[kinds[0]]]
    if not isinstance(response, str):
        raise UserError(f'{where}expected a text as "response", found {json.dumps(response)[:60]}')
    if label not in LABELS[kind]:
        raise UserError(
            f'{where}expected as "{_KEYS[kind]}" one of {", ".join(LABELS[kind])}, found {json.dumps(label)}'
        )
    return kind, response, label


def _read_run(folder: Path, counts: Counter[tuple[Kind, str, str]]) -> tuple[str, set[str]]:
    """Count a run folder's generated answers; returns who judged them, and the sources they are from."""
    judges, sources = set(), set()
    for run in load_runs(folder):
        for task, records in run.answers.items():
            # The rows were checked when the judged answers were read.
            path = run.evaluations[task].samples(task)
            rows = read_rows(path, len(records))
            for record, (_, row) in zip(records, rows, strict=True):
                kind = next((kind for kind, probes in _PROBES.items() if record.probe in probes), None)
                if kind is None or record.verdict == FAILED:
                    continue
                response = row.get("filtered_resps")
                if not isinstance(response, str):
                    found = type(response).__name__
                    raise UserError(f"{path}: expected a response as text ('filtered_resps'), found {found}")
                counts[kind, response, record.verdict] += 1
                judges.add(record.judge)
                sources.add(run.source)
    return ", ".join(sorted(judges)), sources
