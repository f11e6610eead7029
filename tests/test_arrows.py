"""The arrows between the packages: tasks -> harness_ext <- align; metrics and judges import neither torch nor a harness."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def imported(folder: Path) -> dict[str, set[str]]:
    """The top-level packages that each file of a folder names in an import, wherever it does."""
    found: dict[str, set[str]] = {}
    for file in folder.rglob("*.py"):
        names = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
        found[str(file.relative_to(ROOT))] = names
    assert found, f"no Python in {folder}"
    return found


@pytest.mark.parametrize(
    ("folder", "never"),
    [
        ("harness_ext", {"align"}),
        ("harness_ext/metrics", {"torch", "transformers", "lmms_eval", "lm_eval", "align"}),
        ("harness_ext/judges", {"torch", "transformers", "lmms_eval", "lm_eval", "align"}),
    ],
)
def test_what_a_package_never_imports(folder: str, never: set[str]) -> None:
    wrong = {file: names & never for file, names in imported(ROOT / folder).items() if names & never}
    assert not wrong


def test_tasks_hold_no_python() -> None:
    assert not list((ROOT / "tasks").rglob("*.py"))
