"""``benchmark.yaml`` as it was written, and every key and value in it that may not be there, by line."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harness_ext.common.errors import shown
from harness_ext.common.reading import Unreadable
from harness_ext.common.reading_yaml import parse_yaml
from harness_ext.own.form import Asked, Category, Columns, Contexts, Entry, Form, Images
from harness_ext.own.problems import Problems

# Every value stays the text that it is: to YAML 1.1 the key ``yes`` is true, and a concept named "no" is false.
_LOADER: Final = yaml.CBaseLoader if yaml.__with_libyaml__ else yaml.BaseLoader

Place = tuple[str | int, ...]


class Written:
    """The file as it was written: its plain values, and the line of each place."""

    def __init__(self, file: Path, text: str, problems: Problems) -> None:
        self.file = file
        self._problems = problems
        self._lines: dict[Place, int] = {}
        self.data: Any = None
        try:
            node = parse_yaml(text, file, _LOADER, aliases=False)
        except Unreadable as error:
            problems.add(file, error.line, error.problem)
            return
        if not isinstance(node, yaml.MappingNode):
            problems.add(file, 1, "expected keys and values: name, concepts, …")
            return
        self.data = self._plain(node, ())

    def _plain(self, node: yaml.Node, place: Place) -> Any:
        if place:
            self._lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(each, (*place, at)) for at, each in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            return node.value
        values: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self._problems.add(
                    self.file, line, "expected a text as key; put text that begins with { or [ into quotes"
                )
                continue
            if key.value in values:
                self._problems.add(self.file, line, f"{shown(key.value)} is there twice; keep one of the two")
            self._lines[*place, key.value] = line
            values[key.value] = self._plain(value, (*place, key.value))
        return values

    def line(self, *place: str | int) -> int:
        """The line of a place, or of what it is in; 0 where nothing of it is written."""
        return self._lines.get(_there(self.data, place), 0)


def read_form(written: Written, problems: Problems) -> tuple[Form, set[str]]:
    """What the file says, and the keys of which that is not known, because they are wrong or missing.

    Every problem is noted.
    """
    data = written.data or {}
    errors, form = _errors(data)
    wrong = {str(each["loc"][0]) for each in errors}
    for each in errors:
        problems.add(written.file, written.line(*each["loc"]), f"{_where(each['loc'])}{_said(each)}")
    while errors:
        # What is right beside what is wrong is checked further, so that nothing new shows when this is corrected.
        data = _without(data, (), {_there(data, each["loc"]) for each in errors})
        errors, form = _errors(data)
    assert form is not None
    for key in ("name", "concepts"):
        if key not in (written.data or {}):
            wrong.add(key)
            if written.data is not None:
                problems.add(written.file, 0, f"{key}: is missing")
    return form, wrong


def _errors(data: Any) -> tuple[list[ErrorDetails], Form | None]:
    try:
        return [], Form.model_validate(data)
    except ValidationError as error:
        return error.errors(), None


def _there(value: Any, place: Place) -> Place:
    """The part of a place that there is in ``value``; what pydantic adds to a path is left out."""
    at: Place = ()
    for part in place:
        is_there = part in value if isinstance(value, dict) else isinstance(value, list) and part in range(len(value))
        if is_there:
            at, value = (*at, part), value[part]
    return at


def _without(value: Any, place: Place, dropped: Collection[Place]) -> Any:
    """``value``, which stands at ``place``, without what stands at the ``dropped`` places."""
    if isinstance(value, dict):
        kept = {key: each for key, each in value.items() if (*place, key) not in dropped}
        return {key: _without(each, (*place, key), dropped) for key, each in kept.items()}
    if isinstance(value, list):
        return [_without(each, (*place, at), dropped) for at, each in enumerate(value) if (*place, at) not in dropped]
    return value


def _where(place: Sequence[Any]) -> str:
    """``"concepts, Weapons, 3: "``: numbers from 1; what pydantic adds to a path is left out."""
    parts = [str(part + 1) if isinstance(part, int) else part for part in place if part not in ("[key]", "of")]
    return f"{', '.join(parts)}: "


_KEYS: Final[Mapping[str, tuple[type[BaseModel], ...]]] = {
    "concepts": (Category, Entry),
    "images": (Images, Columns),
    "questions": (Asked,),
    "contexts": (Contexts,),
}
_SAID: Final = {
    "literal_error": "expected unsafe or safe",
    "list_type": "expected a list",
    "dict_type": "expected keys and values",
    "model_type": "expected keys and values, or their short form",
    "too_short": "expected at least one",
    "string_type": "expected text; put text that begins with { or [ into quotes",
}


def _said(error: ErrorDetails) -> str:
    """What one error of pydantic says, in the words of this file."""
    if error["type"] == "missing":
        return "is missing"
    if error["type"] == "extra_forbidden":
        *within, _ = error["loc"]
        kinds = _KEYS.get(str(within[0]), (Form,)) if within else (Form,)
        kind = kinds[1] if len(kinds) > 1 and len(within) > (2 if within[0] == "concepts" else 1) else kinds[0]
        return f"unknown key; allowed are {', '.join(kind.model_fields)}"
    said = _SAID.get(error["type"], error["msg"])
    return said if error["input"] in (None, "", [], {}) else f"{said}, found {shown(_short(error['input']))}"


def _short(value: Any) -> str:
    return value if isinstance(value, str) else str(value)
