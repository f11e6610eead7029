"""Labelled responses for ``train-judge``, read from files of JSON lines and from the folders of evaluations.

Other keys of a line than ``response`` and its label are ignored, for a classifier reads the response alone. So it cannot
learn from answers to questions in which "yes" means unsafe: those of a run are left out, and a line with
``"yes": "unsafe"`` is refused.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from harness_ext.benchmark.probes import PROBES
from harness_ext.common.errors import UserError
from harness_ext.judges.classifier import LABELS, Kind
from harness_ext.judges.classifier.examples import Example, LabelledResponses
from harness_ext.judges.lines import BadInputError, read_object
from harness_ext.records import FAILED, UNSAFE
from harness_ext.registry import benchmark_named
from harness_ext.runs.answers import read_saved
from harness_ext.runs.load import load_runs
from harness_ext.runs.samples import read_lines

_KEYS: Final[Mapping[Kind, str]] = {"alignment": "verdict", "perception": "choice"}
# Without questions in a context: there, "yes" can mean that something unsafe elsewhere is right.
_PROBES: Final[Mapping[Kind, tuple[str, ...]]] = {
    "alignment": tuple(probe.record for probe in PROBES.values() if probe.asks == "alignment" and not probe.context),
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
            counts.update(read_lines(path, _labelled, "a file of JSON lines, or a run's folder"))
            origin.append(f"{path.name}: {counts.total() - before} labelled responses")
    if len(sources) > 1:
        raise UserError(
            f"expected answers from one source, found {' and '.join(sorted(sources))}: train a judge for each"
        )
    if not counts:
        raise UserError(f"expected labelled responses, found none in {', '.join(map(str, paths))}")
    kinds = list(dict.fromkeys(found for found, _, _ in counts))
    if kind is None:
        if len(kinds) != 1:
            raise UserError(f"found rows of {' and '.join(kinds)}: say which by --probe {'|'.join(LABELS)}")
        kind = kinds[0]
    examples = sorted(Example(text, label, count) for (of, text, label), count in counts.items() if of == kind)
    if not examples:
        raise UserError(f"expected rows of {kind}, found none among {counts.total()}")
    is_stand_in = any(benchmark_named(source).warning for source in sources)
    return LabelledResponses(kind, tuple(examples), tuple(origin), is_stand_in)


def _labelled(line: str) -> tuple[Kind, str, str]:
    row = read_object(line)
    kinds = [kind for kind, key in _KEYS.items() if key in row]
    if len(kinds) != 1 or "response" not in row:
        raise BadInputError(
            f'expected the keys "response" and either "verdict" or "choice", found {", ".join(row) or "none"}'
        )
    kind, response, label = kinds[0], row["response"], row[_KEYS[kinds[0]]]
    if not isinstance(response, str):
        raise BadInputError(f'expected a text as "response", found {json.dumps(response)[:60]}')
    if label not in LABELS[kind]:
        raise BadInputError(f'expected as "{_KEYS[kind]}" one of {", ".join(LABELS[kind])}, found {json.dumps(label)}')
    if row.get("yes") == UNSAFE:
        raise BadInputError(
            'in its question "yes" means unsafe, and a classifier, which reads the response alone, learns that it means '
            "safe: leave the line out"
        )
    return kind, response, label


def _read_run(folder: Path, counts: Counter[tuple[Kind, str, str]]) -> tuple[str, set[str]]:
    """Count a run folder's generated answers; returns who judged them, and the sources they are from."""
    judges, sources = set(), set()
    for run in load_runs(folder):
        for task in run.answers:
            for saved in read_saved(run.evaluations[task], task):
                kind = next((kind for kind, probes in _PROBES.items() if saved.record.probe in probes), None)
                if kind is None or saved.answer is None or saved.record.verdict == FAILED or saved.record.yes == UNSAFE:
                    continue
                counts[kind, saved.answer.response, saved.record.verdict] += 1
                judges.add(saved.record.judge)
                sources.add(run.source)
    return ", ".join(sorted(judges)), sources
