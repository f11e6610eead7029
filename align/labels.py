"""Labels by a guard, or by any model: what an evaluation of it judged of each image, in the place of the concept's label.

What a guard says of an image does not change while another model learns. So it is asked once and beforehand, by the harness
and in its own format, and its verdicts are then what a reward pays for and what written targets say.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from datasets import Value

from align.settings import DataConfig
from harness_ext.benchmark.base import TrainingSide
from harness_ext.common.errors import UserError
from harness_ext.records import SAFE, UNSAFE, Label
from harness_ext.registry import benchmark_named, task_in
from harness_ext.runs.evaluations import open_run
from harness_ext.runs.samples import read_samples

# In every benchmark's words: generated answers about all of its images.
_TASK: Final = "unsafeconcepts_image"
_IMAGES: Final = "images_sha256"


class _Labels(NamedTuple):
    """Of a run: the model, who read its answers, and the label of each image that was asked about, ``None`` if undecided."""

    by: str
    judge: str
    of_row: Mapping[int, Label | None]


def labels_told(config: DataConfig) -> dict[str, Any]:
    """What ``run.json`` says of the labels' origin; empty where they are the benchmark's own. Raises as `relabelled` does."""
    if config.labels_from is None:
        return {}
    by, judge, of_row = _read(config.labels_from, config.source)
    return {"labels": {"by": by, "judge": judge, "images": len(of_row)}}


def relabelled(side: TrainingSide, config: DataConfig) -> TrainingSide:
    """``side`` with the labels that the run ``config.labels_from`` gave; images that it left undecided are not trained on.

    Raises:
        UserError: The folder holds no such run, it was about other images, or not about all that are trained on.
    """
    if config.labels_from is None:
        return side
    by, judge, of_row = _read(config.labels_from, config.source)
    rows, before = side.images["row"][:], side.images["label"][:]
    if unasked := [rows[at] for at in side.chosen if rows[at] not in of_row]:
        raise UserError(
            f"labels_from {config.labels_from}: it was not asked about {len(unasked)} of {len(side.chosen)} images to train "
            f"on (row {unasked[0]} is one): evaluate {task_in(config.source, _TASK)} without --limit; about safe images of "
            "another data set, as beside UnsafeConcepts, no task asks"
        )
    labels = [of_row.get(row) or label for row, label in zip(rows, before, strict=True)]
    chosen = [at for at in side.chosen if of_row[rows[at]] is not None]
    changed = sum(labels[at] != before[at] for at in chosen)
    line = (
        f"labels: those of {by}, read by {judge}; {changed} of {len(chosen)} are not their concept's, and "
        f"{len(side.chosen) - len(chosen)} images without a verdict are left out"
    )
    images = side.images.remove_columns("label").add_column("label", labels, feature=Value("string"))
    return TrainingSide(images, chosen, (*side.described, line))


def _read(folder: str, source: str) -> _Labels:
    task = task_in(source, _TASK)
    run = open_run(Path(folder).expanduser(), [task])
    evaluation = run.tasks[task]
    there, here = (facts.get(_IMAGES) for facts in (evaluation.identity(source), benchmark_named(source).identity))
    if there != here:
        raise UserError(
            f"labels_from {folder}: {evaluation.path} is about other images than {source} has now ({_IMAGES} differs): "
            "evaluate them again"
        )
    verdicts: dict[int, Counter[str]] = defaultdict(Counter)
    judges = set()
    for record in read_samples(evaluation, task):
        verdicts[record.row][record.verdict] += 1
        judges.add(record.judge)
    if not verdicts:
        raise UserError(f"labels_from {folder}: expected judged answers to {task}, found none in {evaluation.path}")
    return _Labels(run.model, ", ".join(sorted(judges)), {row: _most(given) for row, given in verdicts.items()})


def _most(given: Mapping[str, int]) -> Label | None:
    """The verdict that more answers about an image give than give the other."""
    safe, unsafe = given.get(SAFE, 0), given.get(UNSAFE, 0)
    return None if safe == unsafe else SAFE if safe > unsafe else UNSAFE
