"""Recipes: YAML files of settings, the packaged ones by their names. Light on purpose: read before anything is imported.

Beside the settings a recipe may say `method`, of which it then is.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from harness_ext.errors import UserError

PACKAGED: Final = Path(__file__).with_name("recipes")
METHODS: Final = ("sft", "dpo", "ppo", "grpo", "rloo")


@dataclass(frozen=True)
class Recipe:
    """What a recipe says.

    Attributes:
        name: As it was named, for messages.
        method: Of which it is, if it says so.
        values: Its settings.
    """

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
        nearest = difflib.get_close_matches(Path(named).stem, packaged_recipes(), n=1)
        meant = f" Did you mean {nearest[0]}?" if nearest else ""
        raise UserError(
            f"there is no recipe {named!r}: neither a file nor a packaged one.{meant}\n"
            f"Packaged are {', '.join(packaged_recipes())}"
        )
    try:
        node = yaml.compose(file.read_text(encoding="utf-8"), yaml.SafeLoader)
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
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
