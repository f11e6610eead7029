"""The catalogue: model names, in YAML, and what they stand for.

Reading it must cost next to nothing: the harness reads it at every start, whichever model is run.
"""

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import yaml

from harness_ext.errors import UserError

CATALOGUE_FILE: Final = Path(__file__).with_name("catalogue.yaml")
USER_FILE_VARIABLE: Final = "UNSAFECONCEPTS_MODELS"


@dataclass(frozen=True)
class Entry:
    """What a name stands for.

    Attributes:
        weights: A Hugging Face repository, a folder, or ``glyphworld:SEED``; empty where ``pretrained=`` must be given.
        revision: The commit, tag or branch of the weights; ``None`` for the repository's default.
        note: One line for the list of names.
    """

    weights: str = ""
    revision: str | None = None
    note: str = ""


def read_catalogue(path: Path) -> dict[str, Entry]:
    """The names of one file. Raises ``UserError`` that names the file, the line and the allowed keys."""
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot read the model catalogue {path}: {error}") from error
    if not isinstance(node, yaml.MappingNode):
        raise UserError(f"{path}: expected a mapping from model names to entries, NAME: {{weights: …}}")
    catalogue: dict[str, Entry] = {}
    for key, value in node.value:
        name, values = loader.construct_object(key, deep=True), loader.construct_object(value, deep=True)
        twice = isinstance(name, str) and name in catalogue
        problem = f"{name!r} is there twice; keep one of the two" if twice else _problem(name, values)
        if problem:
            raise UserError(f"{path}, line {key.start_mark.line + 1}: model {name!r}: {problem}")
        catalogue[name] = Entry(**values)
    return catalogue


def _problem(name: object, values: object) -> str:
    """What is wrong with one entry, in words; empty when nothing is."""
    allowed = {field.name for field in fields(Entry)}
    if not isinstance(name, str) or not name or any(sign in name for sign in ", =/\\"):
        return "a name is text without spaces, commas, slashes or equals signs"
    if not isinstance(values, dict):
        return f"expected keys among {sorted(allowed)}, found {type(values).__name__}"
    if unknown := sorted(set(map(str, values)) - allowed):
        return f"unknown key {', '.join(unknown)}; allowed are {', '.join(sorted(allowed))}"
    if wrong := sorted(key for key, value in values.items() if not isinstance(value, str)):
        return f"{', '.join(wrong)} must be text (quote it if it is a number)"
    return ""


def load_catalogue() -> dict[str, Entry]:
    """The packaged names and the user's own, which win. Raises ``UserError`` for a wrong file."""
    catalogue = read_catalogue(CATALOGUE_FILE)
    if user_file := os.environ.get(USER_FILE_VARIABLE):
        catalogue.update(read_catalogue(Path(user_file).expanduser()))
    return catalogue


def model_attribute(name: str) -> str:
    """The attribute of ``harness_ext.models.names`` that stands for a name; a dot would be read as a submodule."""
    return name.replace(".", "·")


def describe_names() -> str:
    """The names with their notes, one a line, and how to add one."""
    catalogue = load_catalogue()
    width = max(map(len, catalogue))
    lines = [f"  {name:<{width}}  {entry.note or entry.weights}" for name, entry in catalogue.items()]
    return "\n".join(
        [
            "Models by name:",
            *lines,
            "Any other VLM of transformers: --model hf-vlm --model_args pretrained=REPOSITORY_OR_FOLDER",
            "To add a name: write 'NAME: {weights: REPOSITORY_OR_FOLDER}' into a YAML file",
            f"and set {USER_FILE_VARIABLE} to that file.",
        ]
    )
