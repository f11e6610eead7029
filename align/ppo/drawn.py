"""How often the right verdict was drawn in training, by concept: whether PPO met the answers that it was to learn."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from accelerate.utils import gather_object
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from harness_ext.common.errors import UserError
from harness_ext.common.files import write_text
from harness_ext.common.options import problem
from harness_ext.common.reading import read_json

DRAWN_FILE: Final = "drawn.json"
_PARTS: Final = 4


class _Concept(TypedDict):
    concept: str
    label: str
    drawn: list[int]
    right: list[int]


class _Drawn(TypedDict):
    judge: str
    concepts: list[_Concept]


_DRAWN: Final = TypeAdapter(_Drawn)


class Drawn:
    """Counts of responses and of those whose verdict is the image's label, by concept, label and quarter of the training.

    The same on every process.

    Args:
        judge: The name of the judge that reads them.
    """

    def __init__(self, judge: str) -> None:
        self._judge = judge
        self._counts: dict[tuple[str, str], _Concept] = {}

    def note(self, rows: Sequence[Mapping[str, Any]], verdicts: Sequence[str], part: float) -> None:
        """Count all processes' responses, this one's being to ``rows``; ``part`` (0 to 1) of the training is over."""
        quarter = min(int(part * _PARTS), _PARTS - 1)
        read = [(row["concept"], row["label"], verdict) for row, verdict in zip(rows, verdicts, strict=True)]
        for concept, label, verdict in gather_object(read):
            none: _Concept = {"concept": concept, "label": label, "drawn": [0] * _PARTS, "right": [0] * _PARTS}
            of = self._counts.setdefault((label, concept), none)
            of["drawn"][quarter] += 1
            of["right"][quarter] += verdict == label

    def save(self, folder: Path) -> None:
        """Write the counts so far, a line a concept."""
        concepts = ",\n".join(f"  {json.dumps(self._counts[key], ensure_ascii=False)}" for key in sorted(self._counts))
        text = f'{{\n "judge": {json.dumps(self._judge)},\n "concepts": [\n{concepts}\n ]\n}}\n'
        write_text(folder / DRAWN_FILE, text)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote. Raises ``UserError`` where it is something else."""
        file = folder / DRAWN_FILE
        try:
            found = _DRAWN.validate_python(read_json(file), strict=True)
        except ValidationError as error:
            raise UserError(f"{file}: not the counts of a run of this version: {problem(error)}") from error
        self._counts = {(each["label"], each["concept"]): each for each in found["concepts"]}
