"""A seal covers every file of a folder, and is read as any file from outside."""

from pathlib import Path

import pytest

from harness_ext.common.errors import UserError
from harness_ext.common.seals import SEAL, require_unchanged, seal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "weights"
    for name in ("a.bin", "README.md", "left.lock", "inner/b.bin", "inner/README.md"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(name)
    seal(made, leave_out=["left.lock"])
    require_unchanged(made, "", "copy it")
    return made


@pytest.mark.parametrize("name", ["a.bin", "inner/b.bin"])
def test_a_changed_file_and_a_missing_one_are_refused_also_in_a_folder_within(name: str, folder: Path) -> None:
    (folder / name).write_text("other")
    with pytest.raises(UserError, match=rf"^no: .*{name} is not what was written there .*; copy it$"):
        require_unchanged(folder, "no: ", "copy it")
    require_unchanged(folder, "", "copy it", names=["README.md", "left.lock"])
    (folder / name).unlink()
    with pytest.raises(UserError, match=rf"^no: .*{name} cannot be read \(No such file or directory\); copy it$"):
        require_unchanged(folder, "no: ", "copy it")


def test_a_card_may_be_edited(folder: Path) -> None:
    (folder / "README.md").write_text("a better card")
    require_unchanged(folder, "", "copy it")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "expected a JSON object, found list"),
        ('{"a.bin": "0", "a.bin": "0"}', "the key 'a.bin' is there twice"),
        ("[" * 100_000, "nested more than"),
        ('{"a.bin": 1}', "expected the sha256 of each file in the folder, by name, found 'a.bin': 1"),
        ('{"../outside": "0"}', "found '../outside'"),
        ('{"/etc/passwd": "0"}', "found '/etc/passwd'"),
        ('{"": "0"}', "found ''"),
        ('{"a\\u0000": "0"}', "found 'a"),
    ],
)
def test_a_damaged_seal_is_one_line(text: str, problem: str, folder: Path) -> None:
    (folder / SEAL).write_text(text)
    with pytest.raises(UserError) as error:
        require_unchanged(folder, "no: ", "copy it")
    told = str(error.value)
    assert problem in told and told.startswith("no: ") and told.endswith("; copy it") and "\n" not in told
