"""Recipes: YAML files of settings, the packaged ones by their names, and the checks of the values in them.

This module imports nothing heavy, for the command reads it first. A recipe may name its `method` beside the settings.
"""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

import yaml

from harness_ext.common.errors import UserError

PACKAGED: Final = Path(__file__).with_name("recipes")
METHODS: Final = ("sft", "dpo", "ppo", "grpo", "rloo")
# By a setting's type, the types that YAML may make of its value; a text is read as on the command line.
_FROM_YAML: Final[dict[Any, tuple[tuple[type, ...], str]]] = {
    bool: ((bool, str), "true or false"),
    str: ((str,), "text (quote it)"),
    int: ((int, str), "a whole number"),
    float: ((int, float, str), "a number"),
}


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
        near = difflib.get_close_matches(Path(named).stem, packaged_recipes(), n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UserError(
            f"there is no recipe {named!r}: neither a file nor a packaged one.{hint}\n"
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


def meant(name: str, known: Iterable[str]) -> str:
    """``"; did you mean …?"`` with the nearest of ``known``; empty where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def option(default: Any, text: str) -> Any:
    """A setting of a dataclass, with its help."""
    return field(default=default, metadata={"help": text})


def require(settings: object, names: str, expected: str, fits: Callable[[Any], bool]) -> None:
    """Raise ``UserError``, with ``expected``, for the first of the settings ``names`` that is set and does not fit."""
    for name in names.split():
        value = getattr(settings, name)
        if value is not None and not fits(value):
            raise UserError(f"{name}: expected {expected}, found {value!r}")


def read_yaml(name: str, text: str, expected: str) -> Any:
    """Read ``text``, given for the setting ``name``, as YAML. Raises ``UserError``, with ``expected``, where it is none."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{name}: expected {expected}, found {text!r}") from error


def unfit(value: Any, kind: Any, default: Any) -> str:
    """The type that a recipe's value should have, where YAML made another of it; empty where it fits, or is text to be read.

    Args:
        value: The value from the recipe.
        kind: The setting's type, as its dataclass has it. With several types in one, only null is checked.
        default: The setting's default; where it is null, null is allowed.
    """
    kinds = set(get_args(kind)) if get_origin(kind) in (Union, UnionType) else {kind}
    if value is None and (kinds & {NoneType, Any} or default is None):
        return ""
    kinds -= {NoneType}
    single = kinds.pop() if len(kinds) == 1 else None
    if get_origin(single) is list:
        of_texts = get_args(single) == (str,)
        fits = isinstance(value, list) and (not of_texts or all(isinstance(each, str) for each in value))
        return "" if fits else "a list of texts, [a, b]" if of_texts else "a list"
    if single not in _FROM_YAML:
        return "a value" if value is None else ""
    types, expected = _FROM_YAML[single]
    return "" if type(value) in types else expected
