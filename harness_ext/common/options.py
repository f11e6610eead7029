"""Options checked by the types of a function's parameters or a model's fields; a wrong one is told in one line."""

import functools
from collections.abc import Callable
from math import isfinite
from typing import Any, TypeVar, cast

from pydantic import ConfigDict, ValidationError, validate_call

from harness_ext.common.errors import UserError, shown


class InvalidOptionError(UserError):
    """An option is missing or invalid; the message begins with its name."""


_Function = TypeVar("_Function", bound=Callable[..., Any])


def checked(function: _Function, strict: bool = True) -> _Function:
    """``function``, whose arguments are checked by its annotations; a wrong one raises :class:`InvalidOptionError`.

    ``strict`` takes a text for no number, as befits YAML; otherwise options as text are converted.
    """
    config = ConfigDict(strict=strict, allow_inf_nan=False, arbitrary_types_allowed=True)
    validated = validate_call(config=config)(function)

    @functools.wraps(function)
    def checking(*args: Any, **options: Any) -> Any:
        try:
            return validated(*args, **options)
        except ValidationError as error:
            raise InvalidOptionError(problem(error)) from error

    return cast(_Function, checking)


def problem(error: ValidationError) -> str:
    """The first problem: which option, what it should be, and what was found."""
    first = error.errors()[0]
    option, value = ".".join(map(str, first["loc"])), first["input"]
    if first["type"].startswith("missing"):
        return f"{option} is missing"
    found = shown(value)
    if first["type"] in ("float_type", "int_type") and isinstance(value, str) and _is_number(value):
        found += ", which is text to YAML: write a number as in 1.0e-3, without quotes"
    return f"{option}: {first['msg']}, found {found}"


def _is_number(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False
