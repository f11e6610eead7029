"""The arrows between the packages: tasks -> harness_ext <- align; neither metrics nor judges import a harness.

Metrics need no torch. Among judges only classifiers and language models do, and opening one by name imports it.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def imported(files: str) -> dict[str, set[str]]:
    """The top-level packages that each file that matches names in an import, wherever it does."""
    found: dict[str, set[str]] = {}
    for file in ROOT.glob(files):
        names = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
        found[str(file.relative_to(ROOT))] = names
    assert found, f"no Python in {files}"
    return found


@pytest.mark.parametrize(
    ("files", "never"),
    [
        ("harness_ext/**/*.py", {"align"}),
        ("harness_ext/metrics/**/*.py", {"torch", "transformers", "lmms_eval", "lm_eval", "align"}),
        ("harness_ext/judges/**/*.py", {"lmms_eval", "lm_eval", "align"}),
        ("harness_ext/judges/*.py", {"torch", "transformers"}),
        ("harness_ext/judges/rules/**/*.py", {"torch", "transformers"}),
    ],
)
def test_what_a_package_never_imports(files: str, never: set[str]) -> None:
    wrong = {file: names & never for file, names in imported(files).items() if names & never}
    assert not wrong


# The floors of harness_ext, from the ground up: a package imports from the floors below its own, and from no other.
FLOORS = (
    ("records",),
    ("common",),
    ("benchmark",),
    ("metrics", "sources"),
    ("unsafeconcepts", "glyphworld", "own"),
    ("registry",),
    ("models",),
    ("judges",),
    ("probes",),
    ("runs",),
    ("report",),
    ("retention",),
    ("hooks", "options"),
    ("plugin", "lm_cli"),
    ("commands", "cli"),
)
FLOOR_OF = {package: floor for floor, packages in enumerate(FLOORS) for package in packages}
# What starts a program, or changes a harness, is for nobody else to import.
NOT_FOR_ALIGN = {"hooks", "plugin", "lm_cli", "commands", "cli"}


def ours_imported(file: Path) -> set[str]:
    """The packages and files directly in harness_ext that a file names in an import, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {module.split(".")[1] for module in modules if module.startswith("harness_ext.")}
    return found - {"__version__"}


def test_every_package_has_a_floor() -> None:
    there = {
        path.stem
        for path in (ROOT / "harness_ext").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert there - {"__init__"} == FLOOR_OF.keys()


@pytest.mark.parametrize("package", FLOOR_OF)
def test_a_package_imports_from_the_floors_below(package: str) -> None:
    folder = ROOT / "harness_ext" / package
    files = list(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    wrong = {
        f"{file.relative_to(ROOT)} imports {other}"
        for file in files
        for other in ours_imported(file) - {package}
        if FLOOR_OF[other] >= FLOOR_OF[package]
    }
    assert not wrong


def test_align_imports_neither_a_command_nor_a_patch() -> None:
    wrong = {file: found for file in (ROOT / "align").rglob("*.py") if (found := ours_imported(file) & NOT_FOR_ALIGN)}
    assert not wrong


def test_judges_by_name_bring_no_torch_until_one_that_needs_it_is_opened() -> None:
    program = (
        "import sys; import harness_ext.judges.classifier, harness_ext.judges.llm, harness_ext.judges.registry as registry; "
        "registry.open_judge('rules', {}); "
        "print(sorted({'torch', 'transformers', 'lmms_eval', 'lm_eval'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_tasks_hold_no_python() -> None:
    assert not list((ROOT / "tasks").rglob("*.py"))
