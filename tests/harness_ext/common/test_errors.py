"""How a command ends: with what was printed, or with a word about what could not be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness_ext.common.errors import UserError, exit_status, shown

PRINTS = """
import sys
from harness_ext.common.errors import exit_status
sys.exit(exit_status("name", lambda: print("é " + "x" * 10 + chr(0xd800) + sys.argv[1] * 10_000)))
"""


def ended(stdout: int | str, **environment: str) -> tuple[int, str]:
    """The status, and what stderr had, of a command that prints to ``stdout``."""
    done = subprocess.run(
        [sys.executable, "-c", PRINTS, "y"],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_told_in_one_line(unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        status, said = ended(full.fileno(), PYTHONUNBUFFERED=unbuffered)
    assert (status, said) == (2, "name: the output cannot be written: No space left on device\n")


def test_a_pipe_that_was_closed_is_no_fault() -> None:
    read, write = os.pipe()
    os.close(read)
    assert ended(write) == (0, "")
    os.close(write)


def test_an_encoding_of_few_characters_loses_none(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as out:
        assert ended(out.fileno(), PYTHONIOENCODING="ascii") == (0, "")
    assert (tmp_path / "out").read_bytes().startswith(rb"\xe9 xxxxxxxxxx\ud800yy")


def test_a_message_has_no_line_that_fills_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise UserError(f"expected a word, found {'x' * 100_000}.\nChoose another")

    assert exit_status("name", fails) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("name: expected a word, found xxx") and first.endswith("xxx.") and len(first) < 2100
    assert second == "Choose another"


def test_a_name_that_is_too_long_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status("name", lambda: print(Path("x" * 10_000).is_dir())) == 2
    assert capsys.readouterr().err == f"name: {'x' * 57!r}: File name too long\n".replace("xx'", "xx...'")


def test_what_was_found_is_shown_shortly() -> None:
    assert shown("x" * 100) == repr("x" * 57 + "...") and len(shown([["x"] * 100])) == 60
    assert shown(3) == "3" and UserError.status == 2
