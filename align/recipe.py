"""Recipes: YAML files of settings, and the packaged ones by their names. A recipe may name its `method` beside the settings.

The command reads this module first, so it imports nothing heavy.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from harness_ext.common.errors import UserError, shown
from harness_ext.common.reading import Unreadable, read_text
from harness_ext.common.reading_yaml import key_twice, parse_yaml, yaml_value

PACKAGED: Final = Path(__file__).with_name("recipes")
METHODS: Final = ("sft", "dpo", "ppo", "grpo", "rloo")


@dataclass(frozen=True)
class Recipe:
    """The content of a recipe: its name or path as it was given, the method that it names, if any, and its settings."""

    name: str
    method: str | None
    values: dict[str, Any]


def packaged_recipes() -> list[str]:
    """The names of the packaged recipes."""
    return sorted(file.stem for file in PACKAGED.glob("*.yaml"))


def read_recipe(arguments: Sequence[str]) -> tuple[Recipe, list[str]]:
    """The recipe that ``--config`` names, an empty one without it, and the other arguments.

    Raises:
        UserError: There is no such recipe, or it is not a mapping of settings.
    """
    named, rest = None, []
    given = iter(arguments)
    for argument in given:
        option, equals, value = argument.partition("=")
        if option != "--config":
            rest.append(argument)
            continue
        named = value if equals else next(given, "")
        if not named or named.startswith("--"):
            raise UserError("--config is not followed by a recipe; expected --config NAME or --config FILE.yaml")
    return (_read(named) if named else Recipe("no recipe", None, {})), rest


def _read(named: str) -> Recipe:
    file = Path(named).expanduser()
    if not file.is_file():
        file = PACKAGED / f"{named}.yaml"
    if not file.is_file():
        near = meant(Path(named).stem, packaged_recipes())
        raise UserError(
            f"there is no recipe {named!r}, neither a file nor a packaged one{near}\n"
            f"Packaged are {', '.join(packaged_recipes())}"
        )
    where = f"the recipe {file}"
    node = parse_yaml(read_text(file), where)
    values = yaml_value(node, where)
    if not isinstance(node, yaml.MappingNode) or not all(isinstance(key, str) for key in values):
        raise UserError(f"{where}: expected settings, `key: value`, found {type(values).__name__}")
    if twice := key_twice(node):
        raise Unreadable(where, twice.start_mark.line + 1, f"{shown(twice.value)} is there twice; keep one of the two")
    method = values.pop("method", None)
    if method is not None and (not isinstance(method, str) or method not in METHODS):
        raise UserError(f"the recipe {file}: method: expected one of {', '.join(METHODS)}, found {shown(method)}")
    return Recipe(named, method, values)


def meant(name: str, known: Iterable[str]) -> str:
    """``"; did you mean …?"`` with the nearest of ``known``; empty where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
