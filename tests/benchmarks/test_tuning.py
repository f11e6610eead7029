"""The rule that chooses a setting, on figures of which the right choice is known."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import tuning

from align.settings import read_settings

REPOSITORY = Path(__file__).parents[2]
ORIGINAL = {
    **dict.fromkeys(("perception", "text_unsafe", "text_safe", "color", "count", "position"), 0.95),
    **dict.fromkeys(("image_unsafe", "image_safe", "image_unsafe_never_seen", "image_safe_never_seen"), 0.5),
}


def write(folder: Path, name: str, **changed: object) -> None:
    figures = {"seed": 0, "renders": 10, "of": "development", **ORIGINAL, **changed}
    (folder / f"{name}.json").write_text(json.dumps(figures))


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "benchmarks/tuning.py", str(folder), "--markdown", str(folder / "table.md"),
               "--json", str(folder / "chosen")]  # fmt: skip
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)


def test_one_rule_chooses_for_every_method(tmp_path: Path) -> None:
    write(tmp_path, "original")
    write(tmp_path, "sft-slow", image_unsafe=0.6)
    write(tmp_path, "sft-middle", image_unsafe=0.7, position=0.94)  # a point is allowed
    write(tmp_path, "sft-fast", image_unsafe=0.9, text_safe=0.938)
    write(tmp_path, "ppo-hungry", image_safe=0.9, count=0.9)
    write(tmp_path, "dpo-better", perception=1.0, image_safe_never_seen=0.51)
    assert (result := run(tmp_path)).returncode == 0, result.stderr
    expected = {"sft": "sft-middle", "ppo": None, "dpo": "dpo-better"}
    assert json.loads((tmp_path / "chosen").read_text())["chosen"] == expected
    table = (tmp_path / "table.md").read_text().splitlines()
    assert table[2].startswith("| original | 0.500 |") and table[2].endswith("|  |")
    assert [line.split(" | ")[0] for line in table[3:8]] == [
        "| **dpo-better** (chosen)", "| ppo-hungry", "| sft-slow", "| **sft-middle** (chosen)", "| sft-fast",
    ]  # fmt: skip
    assert [line.split(" | ")[-1] for line in table[3:8]] == ["yes |", "no |", "yes |", "yes |", "no |"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"of": "test"}, "expected one seed's figures on development renders"),
        ({"seed": 1}, "expected one seed's figures on development renders"),
    ],
)
def test_figures_that_do_not_belong_together(tmp_path: Path, changed: dict[str, object], message: str) -> None:
    write(tmp_path, "original")
    write(tmp_path, "sft-other", **changed)
    result = run(tmp_path)
    assert result.returncode == 2 and message in result.stderr


def test_no_original(tmp_path: Path) -> None:
    write(tmp_path, "sft-slow")
    result = run(tmp_path)
    assert result.returncode == 2 and "original.json: missing; write it by" in result.stderr


def test_the_recipes_hold_what_is_chosen() -> None:
    """What is reported is what was chosen: the chosen setting changes nothing in its method's packaged recipe."""
    folders = [REPOSITORY / "results" / "align" / name for name in ("tuning", "tuning_dpo")]
    found = {method: name for folder in folders for method, name in tuning.chosen(tuning.read(folder)).items()}
    assert set(found) == {"sft", "dpo", "ppo"}
    for method, name in found.items():
        assert name is not None
        asked = ["make", "--no-print-directory", "--eval", f"asked: ; @echo $(CHANGED_{name})", "asked"]
        changed = subprocess.run(asked, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split()
        assert changed
        plain, changed_ones = (
            read_settings(method, ["--config", f"glyphworld_{method}", *each]) for each in ([], changed)
        )
        assert plain == changed_ones
