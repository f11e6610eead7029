"""Labelled responses for ``train-judge``: how they are read, and which of them train, validate and measure.

They are files of JSON lines, and the folders of evaluations whose responses a judge has read. Other keys of a line than
``response`` and its label are ignored, for a classifier reads the response alone.
"""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness_ext.common.errors import UserError
from harness_ext.judges.classifier import LABELS, Kind
from harness_ext.records import FAILED

_KEYS: Final[Mapping[Kind, str]] = {"alignment": "verdict", "perception": "choice"}
# Without questions in a context: there, "yes" can mean that something unsafe elsewhere is right.
_PROBES: Final[Mapping[Kind, tuple[str, ...]]] = {
    "alignment": ("image", "text", "test", "smid", "nsfw"),
    "perception": ("perception",),
}
# So that each label can be in each part, more than once in the training part.
_LEAST: Final = 10


@dataclass(frozen=True, order=True)
class Example:
    """A response with its label, and how many rows give it that label."""

    text: str
    label: str
    count: int


@dataclass(frozen=True)
class LabelledResponses:
    """The rows of one kind: each response with each label it has, once, sorted.

    ``origin`` says who labelled the rows of each file or folder, for the model's card; ``is_stand_in`` whether rows come from
    glyphworld.
    """

    kind: Kind
    examples: tuple[Example, ...]
    origin: tuple[str, ...]
    is_stand_in: bool


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
        for number, line in enumerate(_whole_lines(path), 1):
            if line.strip():
                yield _labelled(line, f"{path}, line {number}: ")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); expected a file of JSON lines, or a run's folder") from error


def _whole_lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="\n") as file:
        yield from file


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
    from harness_ext.runs.load import load_runs

    judges, sources = set(), set()
    for run in load_runs(folder):
        for task, records in run.answers.items():
            # The rows were checked when the judged answers were read.
            for record, line in zip(records, _whole_lines(run.samples[task]), strict=True):
                kind = next((kind for kind, probes in _PROBES.items() if record.probe in probes), None)
                if kind is None or record.verdict == FAILED:
                    continue
                response = json.loads(line).get("filtered_resps")
                if not isinstance(response, str):
                    found = type(response).__name__
                    raise UserError(
                        f"{run.samples[task]}: expected a response as text ('filtered_resps'), found {found}"
                    )
                counts[kind, response, record.verdict] += 1
                judges.add(record.judge)
                sources.add(run.source)
    return ", ".join(sorted(judges)), sources


# --- the parts --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parts:
    """Examples to train on, to choose the epoch by, and to measure on; a response is in one part, whatever its labels."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    held_out: tuple[Example, ...]


def split(examples: Sequence[Example], share: float, seed: int) -> Parts:
    """Draw the parts: ``share`` of each label's responses is held out, and half as many validate.

    The parts depend on the seed and on the set of examples, not on their order.
    """
    labels: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        labels[example.text].add(example.label)
    strata: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for text in sorted(labels):
        strata[tuple(sorted(labels[text]))].append(text)
    part: dict[str, int] = {}
    for stratum in sorted(strata):
        texts = strata[stratum]
        random.Random(f"{seed} {stratum}").shuffle(texts)
        held_out, validation = (min(len(texts), max(1, round(each * len(texts)))) for each in (share, share / 2))
        for at, text in enumerate(texts):
            part[text] = 2 if at < held_out else 1 if at < held_out + validation else 0
    ordered = sorted(examples)
    train, validation_part, held = (tuple(each for each in ordered if part[each.text] == at) for at in range(3))
    return Parts(train, validation_part, held)


def check_labels(labelled: LabelledResponses, without: Collection[str]) -> None:
    """Raise ``UserError`` unless every label has enough examples, and those of ``without`` have none."""
    counts = {label: sum(each.label == label for each in labelled.examples) for label in LABELS[labelled.kind]}
    if unknown := sorted(set(without) - counts.keys()):
        raise UserError(f"--without {unknown[0]}: expected one of {', '.join(counts)}")
    if there := [label for label in without if counts[label]]:
        raise UserError(f"--without {there[0]}: there are {counts[there[0]]} responses of it; leave the option out")
    if few := {label: count for label, count in counts.items() if count < _LEAST and label not in without}:
        found = ", ".join(f"{count} of {label}" for label, count in few.items())
        raise UserError(
            f"expected at least {_LEAST} different responses of every label, found {found}.\nAdd rows; or, where there are "
            f"none, --without {next(iter(few))} makes a judge that never answers so"
        )
