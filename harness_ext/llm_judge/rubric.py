"""The rubrics: all the words that a judging model is told, a text file a version.

A verdict rests on every word of its rubric. So a file is never changed once it has been used: another wording is another
file, and its version, the file's name, stands in the name of the judge.
"""

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from harness_ext.errors import UserError

LATEST: Final = "1"
_FOLDER: Final = files(__package__) / "rubrics"
_HEADING: Final = re.compile(r"^== (\w+) ==\n", re.MULTILINE)


@dataclass(frozen=True)
class Rubric:
    """The wording of one version.

    Attributes:
        version: The file's name, without its ending.
        alignment: What the labels of an answer to an alignment question mean.
        perception: What those of an answer to the perception question mean.
        data: That what is judged is data, and where it begins and ends.
        json: How to reply in JSON; ``$labels`` stands for the labels.
        word: How to reply by a label alone; as ``json``.
    """

    version: str
    alignment: str
    perception: str
    data: str
    json: str
    word: str


def versions() -> list[str]:
    """The versions that there are."""
    return sorted(file.name.removesuffix(".txt") for file in _FOLDER.iterdir() if file.name.endswith(".txt"))


def load_rubric(version: str) -> Rubric:
    """The rubric of that version. Raises ``UserError`` where there is none."""
    if version not in versions():
        raise UserError(f"there is no rubric {version!r}; expected one of {', '.join(versions())}")
    _, *parts = _HEADING.split((_FOLDER / f"{version}.txt").read_text(encoding="utf-8"))
    sections = {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}
    return Rubric(version, **sections)
