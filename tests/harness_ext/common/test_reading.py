"""What cannot be read ends in one line that names the file and, where there are lines, the line; and it ends soon."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from harness_ext.common.reading import NotJson, Unreadable, parse_json, read_json, read_lines, read_text
from harness_ext.common.reading_yaml import parse_yaml, yaml_value

BOMB = "z0: &z0 [x]\n" + "".join(f"z{n}: &z{n} [{', '.join([f'*z{n - 1}'] * 9)}]\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": 1,\n"b": }', "line 2: not JSON (Expecting value, column 6)"),
        ("[" * 100_000, "nested more than 100 deep"),
        ("[" * 101 + "]" * 101, "nested more than 100 deep"),
        ("9" * 5000, "a whole number of 5000 digits, expected one of 64 bits"),
        ('{"a": [-18446744073709551616]}', "a whole number of 20 digits"),
        ('{"a": {"b": 1, "b": 1}}', "the key 'b' is there twice"),
    ],
)
def test_json_is_refused_in_one_line(text: str, problem: str) -> None:
    with pytest.raises(Unreadable) as error:
        parse_json(text, "file.json")
    assert str(error.value).startswith("file.json") and problem in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 150


def test_json_is_read_as_it_was() -> None:
    text = '{"a": [1.5, -Infinity, 18446744073709551615, "\\ud800", null], "b": "' + "[" * 200 + '"}'
    assert parse_json(text, "") == {"a": [1.5, -float("inf"), 2**64 - 1, "\ud800", None], "b": "[" * 200}
    assert parse_json("[" * 100 + "]" * 100, "")
    assert parse_json('{"a": 1, "a": 2}', "", last_wins=True) == {"a": 2}


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: 1\nb: !!int abc\n", 2, "expected a value of int"),
        ("a: 1\nb: !!bool abc\n", 2, "expected a value of bool"),
        ("a: 2026-13-45\n", 1, "expected a value of timestamp"),
        ("a:\n  b: !!timestamp abc\n", 2, "expected a value of timestamp"),
        ("a: 1\nb: !!python/object/apply:os.system [true]\n", 2, "could not determine a constructor"),
        ("a: !!binary é\n", 1, "failed to convert base64"),
        ("a: {", 2, "is not YAML"),
        ("a: 1\nb: \x07\n", 2, "is not YAML: .*not allowed"),
        (f"a: 1\nb: {'9' * 5000}\n", 2, "a whole number of 5000 digits"),
        ("a: &a [*a]\n", 1, "an alias stands within what it names"),
        (BOMB, 6, "its aliases unfold to more than 100000 values"),
        ("a: 1\nb: " + "[" * 100_000, 2, "nested more than 100 deep"),
        ("- " * 100_000, 1, "nested more than 100 deep"),
        ("{? " * 100_000, 1, "nested more than 100 deep"),
        ("? [a]\n: b\n", 1, "unhashable key"),
    ],
)
@pytest.mark.parametrize("loader", [yaml.CSafeLoader, yaml.SafeLoader])
def test_yaml_is_refused_in_one_line(text: str, line: int, problem: str, loader: type[yaml.SafeLoader]) -> None:
    with pytest.raises(Unreadable, match=problem) as error:
        yaml_value(parse_yaml(text, "file.yaml", loader), "file.yaml")
    # A text that ends too early ends, to one of the two parsers, on its last line.
    assert error.value.line == line or (problem == "is not YAML" and error.value.line == 1)
    assert "\n" not in str(error.value) and len(str(error.value)) < 250


def test_yaml_may_have_aliases() -> None:
    text = "a: &a {b: [1, 2], c: x}\nd: *a\ne: {<<: *a, c: 2026-11-29}\n"
    found = yaml_value(parse_yaml(text, ""), "")
    assert found["d"] == found["a"] and found["e"]["b"] == [1, 2] and str(found["e"]["c"]) == "2026-11-29"
    assert yaml_value(parse_yaml("", ""), "") is None
    with pytest.raises(Unreadable, match="line 2: anchors"):
        parse_yaml("a: &a 1\nb: *a\n", "", aliases=False)


@pytest.mark.parametrize("read", [read_text, lambda path: list(read_lines(path)), read_json])
def test_a_byte_that_is_no_utf_8_is_told_with_its_line(tmp_path: Path, read: Callable[[Path], object]) -> None:
    """However long the lines before it are: a file is decoded in blocks otherwise."""
    file = tmp_path / "file"
    file.write_bytes(b'"' + b"x" * 100_000 + b'"\n' + b"\n" * 20 + "é".encode("latin-1"))
    with pytest.raises(Unreadable, match=r"file, line 22: is not UTF-8 \(perhaps Windows-1252 or Latin-1\)"):
        read(file)
    with pytest.raises(Unreadable, match=r"nowhere: cannot be read \(No such file"):
        read(tmp_path / "nowhere")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    file.write_bytes(b'\xef\xbb\xbf{"a": "\xe2\x80\xa8"}\ncut off in a sign \xc3')
    with pytest.raises(NotJson, match="line 2"):
        parse_json(file.read_text(encoding="utf-8-sig", errors="replace"), file)
    assert list(read_lines(file, whole=True)) == [(1, '{"a": "\u2028"}\n')]
