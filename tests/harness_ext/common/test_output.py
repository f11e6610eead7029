"""Text from outside commands nothing on its way out, and stays what it was otherwise."""

import json
import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from harness_ext.commands import table
from harness_ext.common.errors import UserError, exit_status
from harness_ext.common.output import guard_log, neutral, say

ROOT = Path(__file__).parents[3]
# A command to a terminal, one of one byte in C1, a title of its window, a turn of direction, and a line that only some know.
COMMANDS = [
    "\x1b[2J",
    "\x9b31m",
    "\x1b]0;title\x07",
    "\u202eafes\u202c",
    "\u2066x\u2069",
    "a\u2028b",
    "\r",
    "\x7f",
    "\ud800",
]


@pytest.mark.parametrize("text", COMMANDS)
def test_what_commands_is_shown_as_its_escape(text, capsys):
    for said in (neutral(text), neutral(f"before {text} after")):
        assert json.loads(f'"{said}"') in (text, f"before {text} after")
        assert said.isascii() and said.isprintable()
    say(text, file=sys.stderr)
    assert capsys.readouterr().err == f"{neutral(text)}\n"


def test_a_word_of_the_command_line_is_told_as_its_escape(capsys):
    with pytest.raises(SystemExit, match=r"^2$"):
        table.main(["run", "--\x1b[2J"])
    assert capsys.readouterr().err.endswith("error: unrecognized arguments: --\\u001b[2J\n")


def test_a_warning_of_a_library_is_told_as_its_escape(monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    guard_log()
    told = warnings.formatwarning("\x1b[2J" + "x" * 10_000, UserWarning, "file.py", 1, "")
    assert told.startswith("file.py:1: UserWarning: \\u001b[2Jxxx") and len(told) < 2100


def test_no_command_has_another_parser():
    """Those that take their own words out of a harness's pass the rest on."""
    files = [file for folder in ("harness_ext", "align") for file in (ROOT / folder).rglob("*.py")]
    made = [line.strip() for file in files for line in file.read_text().splitlines() if "ArgumentParser(" in line]
    assert made and all("add_help=False" in line or line.startswith("class CommandParser") for line in made), made


@given(st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp"), include_characters="\n\t\u200d")))
def test_any_other_text_stays_as_it_is(text):
    assert neutral(text) == text


@given(st.dictionaries(st.text(), st.text()))
def test_json_stays_the_same_json(content):
    assert json.loads(neutral(json.dumps(content, ensure_ascii=False))) == content


def test_an_error_that_quotes_an_attack_is_one(capsys):
    def fails() -> int:
        raise UserError("no model \x1b[31mred\x1b[0m\nchoose another")

    assert exit_status("program", fails) == 2
    assert capsys.readouterr().err == "program: no model \\u001b[31mred\\u001b[0m\nchoose another\n"


def test_the_log_is_neutral_too():
    heard: list[str] = []
    sink = logger.add(heard.append, format="{message}")
    guard_log()
    logger.warning("the server said: {}", "\x1b]52;c;aGFybWxlc3M=\x07")
    logger.remove(sink)
    assert heard == ["the server said: \\u001b]52;c;aGFybWxlc3M=\\u0007\n"]
