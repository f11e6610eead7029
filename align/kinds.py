"""Whether a recipe's value is of the type that a setting has, for YAML makes its own of what is written."""

from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import yaml

from harness_ext.errors import UserError


def read_yaml(name: str, text: str, expected: str) -> Any:
    """What ``text``, given for the setting ``name``, is as YAML. Raises ``UserError`` where it is none: ``expected`` was."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{name}: expected {expected}, found {text!r}") from error


def unfit(value: Any, kind: Any, default: Any) -> str:
    """What a value should be, where YAML made another thing of it; empty where it is that, or is text yet to be read.

    Args:
        value: From a recipe.
        kind: The setting's type, as its dataclass has it. Of several types in one, null alone is looked at.
        default: The setting's own value; what is null by itself may be.
    """
    kinds = set(get_args(kind)) if get_origin(kind) in (Union, UnionType) else {kind}
    if value is None and (kinds & {NoneType, Any} or default is None):
        return ""
    kinds -= {NoneType}
    single = kinds.pop() if len(kinds) == 1 else None
    flag, text = isinstance(value, bool), isinstance(value, str)
    if single is bool:
        return "" if flag or text else "true or false"
    if single is str:
        return "" if text else "text (quote it)"
    if single is int:
        return "" if isinstance(value, int | str) and not flag else "a whole number"
    if single is float:
        return "" if isinstance(value, int | float | str) and not flag else "a number"
    if get_origin(single) is list:
        of_texts = get_args(single) == (str,)
        right = isinstance(value, list) and (not of_texts or all(isinstance(each, str) for each in value))
        return "" if right else "a list of texts, [a, b]" if of_texts else "a list"
    return "a value" if value is None else ""
