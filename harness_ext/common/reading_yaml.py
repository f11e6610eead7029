"""The one reader of YAML that comes from outside.

As with ``reading.py``, what cannot be read ends as ``Unreadable``. What the aliases of a text unfold to is bounded before a
value is made of it, so that neither making nor showing one takes much longer than reading the text.
"""

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import yaml

from harness_ext.common.errors import one_line
from harness_ext.common.reading import DEEPEST, MOST_DIGITS, TOO_DEEP, Unreadable

# Aliases unfolded.
_MOST_VALUES: Final = 100_000
_FAST: Final = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
# What PyYAML raises where a value does not fit its tag: `!!int abc`, `!!bool abc`, `!!timestamp abc`, 2026-13-45.
_WRONG_VALUE: Final = (ValueError, LookupError, AttributeError, TypeError, OverflowError)

Loader: TypeAlias = "type[yaml.CSafeLoader] | type[yaml.SafeLoader] | type[yaml.CBaseLoader] | type[yaml.BaseLoader]"


def parse_yaml(text: str, where: object, loader: Loader = _FAST, *, aliases: bool = True) -> yaml.Node | None:
    """The node of a YAML text, ``None`` for an empty one; :func:`yaml_value` makes a value of it.

    Raises:
        Unreadable: It is not YAML, or exceeds a bound of this module; naming the line.
    """
    try:
        # Before anything recurses: libyaml's composer ends the process where nesting is too deep.
        depth = 0
        for event in yaml.parse(text, loader):
            if isinstance(event, yaml.AliasEvent) and not aliases:
                raise Unreadable(where, _line(event.start_mark), "anchors (&) and aliases (*) are not used here")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise Unreadable(where, _line(event.start_mark), TOO_DEEP)
        node = loader(text).get_single_node()
    except yaml.reader.ReaderError as error:
        raise Unreadable(where, text.count("\n", 0, error.position) + 1, f"is not YAML: {error.reason}") from error
    except yaml.YAMLError as error:
        raise _not_yaml(where, error) from error
    except ValueError as error:
        raise Unreadable(where, 0, f"is not YAML: {one_line(error)}") from error
    if node is not None:
        _bound(node, where)
    return node


def yaml_value(node: yaml.Node | None, where: object) -> Any:
    """The value of a node of YAML's own types, ``None`` for no node. Raises ``Unreadable``, naming the line."""
    if node is None:
        return None
    try:
        return yaml.constructor.SafeConstructor().construct_document(node)
    except yaml.YAMLError as error:
        raise _not_yaml(where, error) from error
    except _WRONG_VALUE as error:
        at, tag = _at_fault(node)
        raise Unreadable(where, at, f"expected a value of {tag}: {one_line(error)}") from error


def merged(node: yaml.MappingNode, where: object) -> list[tuple[yaml.Node, yaml.Node]]:
    """The keys and values of a mapping with those that ``<<`` takes from others. Raises ``Unreadable``, naming the line."""
    try:
        yaml.constructor.SafeConstructor().flatten_mapping(node)
    except yaml.YAMLError as error:
        raise _not_yaml(where, error) from error
    return list(node.value)


def key_twice(mapping: yaml.MappingNode) -> yaml.ScalarNode | None:
    """The first key of a mapping that is in it a second time, which YAML's reader would take without a word."""
    seen: set[str] = set()
    for key, _ in mapping.value:
        if isinstance(key, yaml.ScalarNode):
            if key.value in seen:
                return key
            seen.add(key.value)
    return None


def _line(mark: Any) -> int:
    return mark.line + 1 if mark else 0


def _not_yaml(where: object, error: yaml.YAMLError) -> Unreadable:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = getattr(error, "problem", None) or one_line(error)
    return Unreadable(where, _line(mark), f"is not YAML: {said}")


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair


def _nodes(node: yaml.Node | None) -> Iterator[yaml.Node]:
    """Every node below one, and itself, each once."""
    waiting, seen = [node] if node is not None else [], set()
    while waiting:
        each = waiting.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += _children(each)


def _bound(node: yaml.Node, where: object) -> None:
    """Raise ``Unreadable`` where aliases lead in a circle, or unfold to too many values or too deep."""
    sizes: dict[int, int] = {}
    heights: dict[int, int] = {}
    open_: set[int] = set()
    waiting = [(node, False)]
    while waiting:
        each, is_done = waiting.pop()
        line = each.start_mark.line + 1
        if is_done:
            below = list(_children(each))
            sizes[id(each)] = 1 + sum(sizes[id(child)] for child in below)
            heights[id(each)] = 1 + max((heights[id(child)] for child in below), default=0)
            open_.discard(id(each))
            if sizes[id(each)] > _MOST_VALUES:
                raise Unreadable(where, line, f"its aliases unfold to more than {_MOST_VALUES} values")
            if heights[id(each)] > DEEPEST + 1:
                raise Unreadable(where, line, TOO_DEEP)
        elif isinstance(each, yaml.ScalarNode) and each.tag.endswith(":int") and len(each.value) > MOST_DIGITS:
            raise Unreadable(where, line, f"a whole number of {len(each.value)} digits, expected one of 64 bits")
        elif id(each) in open_:
            raise Unreadable(where, line, "an alias stands within what it names")
        elif id(each) not in sizes:
            open_.add(id(each))
            waiting.append((each, True))
            waiting += [(child, False) for child in _children(each)]


def _at_fault(node: yaml.Node) -> tuple[int, str]:
    """The line and the tag of the first value that cannot be made."""
    scalars = [each for each in _nodes(node) if isinstance(each, yaml.ScalarNode)]
    for each in sorted(scalars, key=lambda one: one.start_mark.index):
        try:
            yaml.constructor.SafeConstructor().construct_document(each)
        except (*_WRONG_VALUE, yaml.YAMLError):
            return each.start_mark.line + 1, each.tag.rpartition(":")[2]
    return node.start_mark.line + 1, "YAML"
