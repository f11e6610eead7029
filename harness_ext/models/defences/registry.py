"""Defences by name, and what ``--model_args defence=`` says: ``NAME``, ``NAME:option=value``, several joined by ``+``.

lmms-eval splits model_args at commas, which is why none stands between defences or options. A text with a comma, a colon or a
plus in it goes into a file.
"""

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Final

from pydantic import TypeAdapter, ValidationError

from harness_ext.common.errors import UserError, shown
from harness_ext.common.options import problem
from harness_ext.models.defences.base import Defence, Defences
from harness_ext.models.defences.caption import Caption, CaptionIfHarmful
from harness_ext.models.defences.coca import Coca
from harness_ext.models.defences.naming import NameThenJudge
from harness_ext.models.defences.principle import Principle
from harness_ext.models.defences.steer import Steer

DEFENCES: Final[Mapping[str, type[Defence]]] = {
    "principle": Principle,
    "caption": Caption,
    "caption-if-harmful": CaptionIfHarmful,
    "name-then-judge": NameThenJudge,
    "coca": Coca,
    "steer": Steer,
}
# The options that may be files.
_TEXTS: Final = {
    each.name
    for kind in DEFENCES.values()
    for each in fields(kind)  # type: ignore[arg-type]
    if each.init and each.type is str
}


def open_defences(text: str | None) -> Defences:
    """The defences that ``text`` names, in its order; none where it is empty.

    Raises:
        UserError: There is no such defence or option, a value is invalid, or one is named twice.
    """
    named = [_named(part) for part in text.split("+")] if text else []
    names = [name for name, _ in named]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"defence={text}: {twice} is named twice")
    return Defences(named)


def with_absolute_paths(text: str) -> str:
    """What :func:`open_defences` has taken, with the path of each file absolute, for a process in another folder.

    Raises:
        UserError: An absolute path holds a sign that separates defences, options or model_args.
    """
    return "+".join(":".join(map(_with_absolute_path, part.split(":"))) for part in text.split("+"))


def _with_absolute_path(option: str) -> str:
    name, _, value = option.partition("=")
    if name not in _TEXTS or not os.path.isfile(value):
        return option
    path = os.path.abspath(value)
    if any(sign in path for sign in "+:,"):
        raise UserError(
            f"defence option {name}: the path {path} must have no plus, colon or comma in it; move the file"
        )
    return f"{name}={path}"


def _named(text: str) -> tuple[str, Defence]:
    name, *options = text.split(":")
    if name not in DEFENCES:
        raise UserError(f"no defence is named {shown(name)}; expected {', '.join(DEFENCES)}, several joined by +")
    kind, given = DEFENCES[name], dict[str, str]()
    allowed = [each.name for each in fields(kind) if each.init]  # type: ignore[arg-type]
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or key not in allowed or key in given:
            raise UserError(
                f"defence {name}: expected options as in {name}:{allowed[0]}=…, each once, of {', '.join(allowed)}; found "
                f"{shown(option)}. A text with a colon, a plus or a comma in it goes into a file"
            )
        given[key] = value
    try:
        return name, TypeAdapter(kind).validate_python(given)
    except ValidationError as error:
        raise UserError(f"defence {name}: {problem(error)}") from error
    except UserError as error:
        raise UserError(f"defence {name}, {error}") from error
