"""One way to write a file: whole or not at all, whatever its name stands for."""

import hashlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import PIPE

import pytest
from full_disk import full_disk

from harness_ext.commands.agreement import main as agreement
from harness_ext.commands.compare import main as compare
from harness_ext.commands.leaderboard import main as leaderboard
from harness_ext.commands.report import main as report
from harness_ext.commands.table import main as table
from harness_ext.common.errors import UserError
from harness_ext.common.failures import writable
from harness_ext.common.files import (
    append_text,
    digest,
    held,
    new_folder,
    require_writable,
    require_writable_folder,
    sha256,
    write_bytes,
    write_text,
)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    write_text(file, "old\n")
    with full_disk(5000), pytest.raises(UserError, match=r"a\.jsonl: cannot be written: File too large$"):
        write_bytes(file, b"x" * 100_000)
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]
    assert file.read_text() == "old\n"


def test_lines_are_added_and_a_full_disk_is_said(tmp_path: Path) -> None:
    file = tmp_path / "new" / "a.jsonl"
    for text in ("one \ud83d\n", "two\n"):
        append_text(file, text)
    assert file.read_text(encoding="utf-8") == "one \\ud83d\ntwo\n"
    with full_disk(20), pytest.raises(UserError, match=r"a\.jsonl: cannot be written: File too large$"):
        append_text(file, "x" * 100)


def test_a_link_stays_one_and_permissions_stay(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "elsewhere" / "real.json"
    file.write_text("old")
    file.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(file)
    write_text(link, "new")
    assert link.is_symlink() and file.read_text() == "new" and file.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in file.parent.iterdir()] == ["real.json"]


def test_a_device_is_written_into_and_not_replaced(tmp_path: Path) -> None:
    link = tmp_path / "out"
    link.symlink_to("/dev/null")
    require_writable([link])
    write_text(link, "text")
    assert Path("/dev/null").is_char_device()
    link.unlink()
    link.symlink_to("/dev/full")
    with pytest.raises(UserError, match="out: cannot be written: No space left on device"):
        write_text(link, "text")


def test_what_cannot_be_written_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path, says in (
        (tmp_path / "folder", "folder: cannot be written: Is a directory"),
        (tmp_path / "file" / "deep" / "a.md", rf"a\.md: cannot be written: Not a directory \({tmp_path}/file\)"),
        (Path("/proc/nowhere/a.md"), r"/proc/nowhere/a\.md: cannot be written"),
    ):
        with pytest.raises(UserError, match=says):
            require_writable([None, path])
    with pytest.raises(UserError, match="file/runs: cannot be written: Not a directory"):
        require_writable_folder(tmp_path / "file" / "runs")
    with full_disk(0), pytest.raises(UserError, match="runs: cannot be written"):
        require_writable_folder(tmp_path / "runs")
    require_writable([tmp_path / "new" / "a.md"])
    require_writable_folder(tmp_path / "new" / "runs")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "folder"]


def test_half_of_a_surrogate_pair_is_escaped(tmp_path: Path) -> None:
    write_text(tmp_path / "a.md", "No \ud83d 👍")
    assert (tmp_path / "a.md").read_text(encoding="utf-8") == "No \\ud83d 👍" == writable("No \ud83d 👍")


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (table, ["--json"]),
        (table, ["--figure"]),
        (compare, ["--markdown"]),
        (agreement, ["--judges", "rules,rules", "--disagreements"]),
        (report, ["-o"]),
        (report, ["-o", "page.html", "--assets"]),
        (leaderboard, ["--csv"]),
    ],
    ids=["table", "figure", "compare", "agreement", "report", "assets", "leaderboard"],
)
def test_a_command_refuses_what_it_could_not_write_before_it_reads_anything(
    command: Callable[[Sequence[str]], int], options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    name = "out.png" if options == ["--figure"] else "out.html"
    assert command([str(tmp_path / "nowhere"), *options, str(tmp_path / "file" / name)]) == 2
    said = capsys.readouterr().err
    assert "cannot be written: Not a directory" in said and said.count("\n") == 1


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.tmpleft").mkdir()
    with pytest.raises(KeyError), new_folder(tmp_path / "a") as made:
        (made / "half").touch()
        raise KeyError
    assert not list(tmp_path.iterdir())
    with new_folder(tmp_path / "deep" / "a", within=tmp_path / "unfinished") as made:
        (made / "whole").touch()
        assert made.parent.parent == tmp_path / "unfinished" and not (tmp_path / "deep").exists()
    assert [each.name for each in (tmp_path / "deep" / "a").iterdir()] == ["whole"]
    assert not list((tmp_path / "unfinished").iterdir())


def test_a_lock_is_waited_for_or_said_to_be_taken(tmp_path: Path) -> None:
    def cannot(error: OSError) -> UserError:
        return UserError(f"cannot: {error.strerror}")

    lock = tmp_path / "deep" / "a.lock"
    holds = "import sys; from filelock import FileLock\nwith FileLock(sys.argv[1]): print(flush=True); sys.stdin.read()"
    lock.parent.mkdir()
    with subprocess.Popen([sys.executable, "-c", holds, str(lock)], stdin=PIPE, stdout=PIPE) as other:
        assert other.stdin and other.stdout and other.stdout.readline()
        with pytest.raises(UserError, match=r"^taken$"), held(lock, cannot, "taken"):
            pass
        other.stdin.close()
    with held(lock, cannot), pytest.raises(UserError, match=r"^cannot: Is a directory$"), held(tmp_path, cannot):
        pass


def test_digests_of_a_text_its_bytes_and_a_file_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("ä", encoding="utf-8")
    for each in ("ä", "ä".encode(), tmp_path / "a"):
        assert sha256(each) == hashlib.sha256("ä".encode()).hexdigest()
        assert digest(each) == hashlib.blake2b("ä".encode(), digest_size=20).hexdigest()
