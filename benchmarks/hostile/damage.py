"""Damaged copies of a file: what a broken disk, an editor, another program, or somebody who means harm makes of it.

Each is named by its kind. ``reads`` says what a command may do with it: ``never`` where no reader can take it for the file
that it was, ``perhaps`` where the damage may fall on what nobody reads, or where the rest still says the same.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

Reads = Literal["never", "perhaps"]
# In the place of a value: JSON as it is written, for some of these no parser gives back.
VALUES: Final = {
    "null": "null",
    "true": "true",
    "a negative number": "-1",
    "a fraction": "0.5",
    "not a number": "NaN",
    "infinity": "-Infinity",
    "an overflowing number": "1e999",
    "5,000 digits": "9" * 5000,
    "300 digits": "9" * 300,
    "an empty text": '""',
    "a text": '"zebra"',
    "half a surrogate pair": '"\\ud800"',
    "a long text": json.dumps("x" * 100_000),
    "control characters": '"\\u0000\\u001b[31m\\u2028"',
    "an empty list": "[]",
    "an empty object": "{}",
    "lists in lists": "[[[]]]",
    "an object": '{"zebra": 1}',
    "500 lists": "[" * 500 + "]" * 500,
    "100,000 lists": "[" * 100_000 + "]" * 100_000,
}
# These make the whole text no JSON that is read here.
_NEVER: Final = {"5,000 digits", "300 digits", "500 lists", "100,000 lists"}
_YAML: Final = {
    "!!int abc": "!!int abc",
    "!!float abc": "!!float abc",
    "!!bool abc": "!!bool abc",
    "!!timestamp abc": "!!timestamp abc",
    "!!python": "!!python/object/apply:os.system [true]",
    "!!binary": "!!binary é",
    "a date": "2026-11-29",
    "no date": "2026-13-45",
    "5,000 digits": "9" * 5000,
    "base 60": "190:20:30",
    "not a number": ".nan",
    "100,000 lists": "[" * 100_000,
    "an alias of itself": "&a [*a]",
    "an unknown alias": "*nothing",
    "null": "null",
    "a list": "[]",
    "an object": "{zebra: 1}",
    "a text": "zebra",
    "a tab": "\t",
}
_MARK: Final = "\ue000here\ue000"


@dataclass(frozen=True)
class Damage:
    """A damaged copy."""

    kind: str
    content: bytes
    reads: Reads = "perhaps"


def damages(name: str, content: bytes, draw: random.Random, values: int) -> Iterator[Damage]:
    """Damaged copies of the file ``name``, with ``values`` of its single values replaced."""
    yield from _of_bytes(content, draw)
    if name.endswith((".json", ".jsonl", ".yaml", ".csv")):
        yield Damage("UTF-16", content.decode("utf-8").encode("utf-16"), "never")
    if name.endswith((".json", ".jsonl")):
        yield from _of_json(name, content, draw, values)
    if name.endswith((".yaml", ".yml")):
        yield from _of_yaml(content, draw)
    if name.endswith((".jsonl", ".csv", ".yaml")):
        yield from _of_lines(content, draw)


def _of_bytes(content: bytes, draw: random.Random) -> Iterator[Damage]:
    middle = len(content) // 2
    yield Damage("empty", b"", "perhaps")
    yield Damage("blank", b" \n\n", "perhaps")
    yield Damage("cut in the middle", content[:middle])
    yield Damage("cut off by a byte", content[:-1])
    for _ in range(3):
        yield Damage("cut", content[: draw.randrange(len(content))])
        at, bit = draw.randrange(len(content)), 1 << draw.randrange(8)
        yield Damage("a bit flipped", content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :])
    yield Damage("a byte that is no UTF-8", content[:middle] + b"\xff" + content[middle:], "never")
    yield Damage("a byte order mark", b"\xef\xbb\xbf" + content)
    yield Damage("Windows line breaks", content.replace(b"\n", b"\r\n"))
    yield Damage("zeros", b"\0" * len(content), "never")
    yield Damage("a block of zeros", content[:middle] + b"\0" * 512 + content[middle + 512 :])
    yield Damage("another program's", b"\x89PNG\r\n\x1a\n" + bytes(draw.randbytes(200)), "never")
    yield Damage("lists in lists", b"[" * 100_000, "never")
    yield Damage("a list", b"[]")
    yield Damage("null", b"null")


def _of_lines(content: bytes, draw: random.Random) -> Iterator[Damage]:
    lines = content.splitlines(keepends=True)
    at = draw.randrange(len(lines))
    yield Damage("a line twice", b"".join([*lines[: at + 1], *lines[at:]]))
    yield Damage("a line less", b"".join([*lines[:at], *lines[at + 1 :]]))
    yield Damage("lines in another order", b"".join(draw.sample(lines, len(lines))))


def _of_yaml(content: bytes, draw: random.Random) -> Iterator[Damage]:
    text = content.decode("utf-8")
    lines = text.splitlines()
    keyed = [at for at, line in enumerate(lines) if ": " in line and not line.lstrip().startswith("#")]
    for kind, value in _YAML.items():
        at = draw.choice(keyed)
        changed = [*lines[:at], f"{lines[at].partition(': ')[0]}: {value}", *lines[at + 1 :]]
        yield Damage(f"a value: {kind}", "\n".join(changed).encode())
    bomb = "".join(f"z{n}: &z{n} [{', '.join([f'*z{n - 1}'] * 9)}]\n" for n in range(1, 12))
    yield Damage("a bomb of aliases", f"z0: &z0 [x]\n{bomb}{text}".encode())
    yield Damage("keys in keys", ("{? " * 5000 + "}" * 5000).encode(), "never")


def _of_json(name: str, content: bytes, draw: random.Random, values: int) -> Iterator[Damage]:
    lines = content.decode("utf-8").split("\n") if name.endswith(".jsonl") else [content.decode("utf-8")]
    written = [at for at, line in enumerate(lines) if line.strip()]
    # One place of each kind: rows of a table are alike.
    places: dict[tuple[Any, ...], tuple[int, tuple[Any, ...]]] = {}
    for at in draw.sample(written, min(len(written), 3)):
        for path in _paths(json.loads(lines[at])):
            places.setdefault(tuple("#" if isinstance(part, int) else part for part in path), (at, path))
    chosen = draw.sample(sorted(places.values(), key=str), min(len(places), values))

    def replaced(at: int, line: str) -> bytes:
        return "\n".join([*lines[:at], line, *lines[at + 1 :]]).encode()

    for at, path in chosen:
        kind, value = draw.choice(list(VALUES.items()))
        where = ".".join(map(str, path))
        changed = json.dumps(_with(json.loads(lines[at]), path, _MARK), ensure_ascii=False)
        line = changed.replace(json.dumps(_MARK, ensure_ascii=False), value)
        yield Damage(f"{where}: {kind}", replaced(at, line), "never" if kind in _NEVER else "perhaps")
        if isinstance(path[-1], str):
            yield Damage(f"{where}: missing", replaced(at, json.dumps(_with(json.loads(lines[at]), path, None, True))))
            twice = changed.replace(json.dumps(_MARK, ensure_ascii=False), f"1, {json.dumps(path[-1])}: 2")
            yield Damage(f"{where}: twice", replaced(at, twice), "never")


def _paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*at, key)
            yield from _paths(each, (*at, key))


def _with(value: Any, path: tuple[Any, ...], put: Any, remove: bool = False) -> Any:
    within = value
    for part in path[:-1]:
        within = within[part]
    if remove:
        del within[path[-1]]
    else:
        within[path[-1]] = put
    return value
