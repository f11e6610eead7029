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


BELOW = {
    "records": set(),
    "benchmark": {"records", "common"},
    "metrics": {"records", "common", "benchmark"},
    "sources": {"records", "common", "benchmark", "glyphworld"},
    "probes": {"records", "common", "benchmark", "glyphworld", "sources", "judges", "metrics"},
}


@pytest.mark.parametrize("package", BELOW)
def test_a_package_imports_only_what_is_below_it(package: str) -> None:
    folder = ROOT / "harness_ext" / package
    files = folder.rglob("*.py") if folder.is_dir() else [folder.with_suffix(".py")]
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            modules = (
                [f"{node.module}.{alias.name}" for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            )
            found |= {module.split(".")[1] for module in modules if module.startswith("harness_ext.")}
    assert found - {package} <= BELOW[package]


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
