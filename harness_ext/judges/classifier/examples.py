"""Labelled responses for ``train-judge``: which of them train, validate and measure."""

import random
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from harness_ext.common.errors import UserError
from harness_ext.judges.classifier import LABELS, Kind

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

    ``origin`` says who labelled the rows of each file or folder; ``is_stand_in`` whether rows come from glyphworld.
    """

    kind: Kind
    examples: tuple[Example, ...]
    origin: tuple[str, ...]
    is_stand_in: bool


class Parts(NamedTuple):
    """Examples to train on, to choose the epoch by, and to measure on; a response is in one part, whatever its labels."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    held_out: tuple[Example, ...]


def split(examples: Sequence[Example], share: float, seed: int) -> Parts:
    """Hold out ``share`` of each label's responses, and validate on half as many, drawn by ``seed`` whatever their order."""
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
    return Parts(*(tuple(each for each in ordered if part[each.text] == at) for at in range(3)))


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
