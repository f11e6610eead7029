"""The rows that are easy or hard for the original model, by its own chance of the right verdict; no answer is generated.

Training on rows of medium difficulty is what "Why does RL generalize better than SFT?" (arXiv 2602.10815, DC-SFT) finds to
carry further than training on all: hard rows cost generalisation. Shares are taken within each label, so that a run sees as
much of both as before.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from datasets import Dataset

from align.anchors import ANCHOR
from align.models import Base
from align.original import Original, as_asked, without_images
from align.settings import RunSettings
from harness_ext.common.errors import UserError
from harness_ext.common.output import say
from harness_ext.metrics.likelihood import chance_of_unsafe
from harness_ext.probes.rows import alignment_forms
from harness_ext.records import SAFE, UNSAFE

_TITLE: Final = "the original's verdicts"


def of_difficulty(rows: Dataset, settings: RunSettings, base: Base, folder: Path) -> tuple[Dataset, dict[str, Any]]:
    """``rows`` of the difficulty that ``settings.data`` asks for, in their order; and what was found, for ``run.json``.

    The rows of each label are ranked from the one whose right verdict the original finds likeliest to the one where it
    finds it least likely; of rows that are equally hard the earlier one comes first. Anchors stay. Every process calls this,
    with the same rows; ``folder`` keeps the chances of all.

    Raises:
        UserError: The model cannot be asked by likelihood, or no row of a label is left.
    """
    assert settings.data.difficulty is not None
    chances = _chances(rows, settings, base, folder)
    by_label: dict[str, list[int]] = defaultdict(list)
    labels = rows["label"][:]
    for at in chances:
        by_label[labels[at]].append(at)
    kept = set(range(len(rows))) - chances.keys()
    told: dict[str, Any] = {}
    for label, of_label in sorted(by_label.items()):
        ranked = sorted(of_label, key=lambda at: (-chances[at], at))
        first, last = (round(share * len(ranked)) for share in settings.data.difficulty)
        if not (chosen := ranked[first:last]):
            raise UserError(
                f"difficulty: no row of the {len(ranked)} whose label is {label} lies between "
                f"{settings.data.difficulty[0]:g} and {settings.data.difficulty[1]:g}: choose a wider range"
            )
        kept.update(chosen)
        told[label] = {
            "rows": len(chosen),
            "of": len(ranked),
            "chance": [round(chances[at], 4) for at in (chosen[0], chosen[-1])],
        }
    if settings.arguments.process_index == 0:
        lines = (
            f"{each['rows']} of {each['of']} {label} (the right verdict's chance from {each['chance'][0]:.3f} down to "
            f"{each['chance'][1]:.3f})"
            for label, each in told.items()
        )
        say(f"by difficulty: {', '.join(lines)}", file=sys.stderr)
    return rows.select(sorted(kept)), told


def _chances(rows: Dataset, settings: RunSettings, base: Base, folder: Path) -> dict[int, float]:
    """The original's chance of the right verdict, given that it says one, of each row that is no anchor, by position."""
    light = without_images(rows)
    original = Original(settings, base, folder, "difficulty")

    def answered(batch: Sequence[int]) -> list[str]:
        forms = [alignment_forms(light[at].get("yes", SAFE)) for at in batch]
        return original.scored([as_asked(rows[at]) for at in batch], forms)

    judged = [at for at, row in enumerate(light) if not row.get(ANCHOR, False)]
    # The targets that rows have by now are nothing that the original is asked.
    asked = [{name: row.get(name) for name in ("row", "question", "prompt", "yes")} for row in light]
    scores: Mapping[int, Mapping[str, float]] = original.kept(asked, judged, 0, _TITLE, answered)
    unsafe = {at: chance_of_unsafe(each) for at, each in scores.items()}
    return {at: chance if light[at]["label"] == UNSAFE else 1 - chance for at, chance in unsafe.items()}
