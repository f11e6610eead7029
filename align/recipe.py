"""Recipes: YAML files of settings, and the packaged ones by their names. A recipe may name its `method` beside the settings.

The command reads this module first, so it imports nothing heavy.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from harness_ext.common.errors import UserError

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
    try:
        text = file.read_text(encoding="utf-8")
        node, values = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot read the recipe {file}: {error}") from error
    if not isinstance(node, yaml.MappingNode) or not all(isinstance(key, str) for key in values):
        raise UserError(f"the recipe {file}: expected settings, `key: value`, found {type(values).__name__}")
    keys = [key.value for key, _ in node.value]
    if twice := [key for at, key in enumerate(keys) if key in keys[:at]]:
        raise UserError(f"the recipe {file}: {twice[0]!r} is there twice; keep one of the two")
    method = values.pop("method", None)
    if method not in (None, *METHODS):
        raise UserError(f"the recipe {file}: method: expected one of {', '.join(METHODS)}, found {method!r}")
    return Recipe(named, method, values)


def meant(name: str, known: Iterable[str]) -> str:
    """``"; did you mean …?"`` with the nearest of ``known``; empty where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
