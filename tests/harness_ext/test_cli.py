"""Options of the command itself; whole evaluations are in ``test_evaluation.py``."""

import ast
import importlib.util
import json
import os
import sys
from pathlib import Path

import pytest
from lmms_eval import evaluator, utils

from harness_ext.cli import _check, _take_models_file
from harness_ext.common.errors import UserError
from harness_ext.hooks import LATE, LATE_AFTER_IT
from harness_ext.models.catalogue import OPTION_FILE_VARIABLE


@pytest.fixture
def models_file(tmp_path, untrained_vlm):
    file = tmp_path / "mine.yaml"
    file.write_text(f"mine: {{weights: {untrained_vlm}, note: a model of mine}}\n")
    return file


@pytest.mark.parametrize("form", [("--models-file", "{}"), ("--models-file={}",)], ids=" ".join)
@pytest.mark.parametrize("rest", [["models"], ["--model", "mine", "--tasks", "a"]], ids=" ".join)
def test_a_models_file_is_taken_out_of_the_arguments(models_file, monkeypatch, form, rest):
    monkeypatch.setenv(OPTION_FILE_VARIABLE, "")
    given = [part.format(models_file) for part in form]
    assert _take_models_file([*given, *rest]) == _take_models_file([rest[0], *given, *rest[1:]]) == rest
    assert os.environ[OPTION_FILE_VARIABLE] == str(models_file)


@pytest.mark.parametrize(
    "arguments", [["--models-file"], ["--models-file="], ["--models-file", "--model", "mine"]], ids=str
)
def test_a_models_file_must_be_named(arguments):
    with pytest.raises(UserError, match="--models-file is not followed by a file"):
        _take_models_file(arguments)


def test_a_package_that_lmms_eval_cannot_run_with_is_named_before_anything_is_loaded(monkeypatch):
    # filelock 4.3.1 has no such module.
    monkeypatch.setitem(sys.modules, "filelock._api", None)
    with pytest.raises(
        UserError, match=r"lmms-eval .* cannot run with filelock .*\nInstall .*: pip install \. -c constraints"
    ):
        _check(["--model", "glyph-vlm", "--tasks", "glyphworld"])


def test_what_lmms_eval_imports_late_is_imported_early():
    # Whatever the evaluator itself imports in a function: nothing of it is new when a model is built.
    names = [
        module
        for file in (Path(evaluator.__file__), Path(utils.__file__))
        for function in ast.walk(ast.parse(file.read_text()))
        if isinstance(function, ast.FunctionDef)
        and function.name in ("_enable_reentrant_filelocks", "simple_evaluate", "evaluate", "make_table")
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in _modules(node)
    ]
    assert {"filelock._api", "pytablewriter"} <= set(names)
    assert set(names) - set(sys.stdlib_module_names) <= {*LATE, *LATE_AFTER_IT, "filelock"}


def _modules(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    inside = [f"{node.module}.{alias.name}" for alias in node.names]
    package = hasattr(importlib.import_module(node.module), "__path__")
    return [name if package and importlib.util.find_spec(name) else node.module for name in inside]


def test_a_wrong_models_file_is_refused_at_once(run, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("mine:\n  wieghts: me/mine\n")
    finished = run("lmms_eval", "--models-file", file, "models")
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert finished.stderr.startswith(f"lmms_eval: {file}, line 2: model 'mine': unknown key wieghts; allowed are api,")


def test_names_of_a_models_file_are_listed(run_warm, models_file):
    finished = run_warm("lmms_eval", "models", "--models-file", models_file)
    assert finished.returncode == 0, finished.stderr
    harness, ours = finished.stdout.split("Models by name")
    assert "mine                        chat" in harness
    assert f"Yours ({models_file})\n    mine" in ours
    assert "The paper's eight\n    llava-7b" in ours


def test_names_of_a_models_file_reach_other_processes_and_runs_from_a_file(run_warm, models_file, tmp_path):
    runs = tmp_path / "runs.yaml"
    evaluation = {"model": "mine", "model_args": "device=cpu", "tasks": "glyphworld_text", "limit": 3}
    runs.write_text(json.dumps(evaluation | {"gen_kwargs": "max_new_tokens=2", "output_path": str(tmp_path / "out")}))
    torchrun = ("-m", "torch.distributed.run", "--nproc_per_node", "1", "--master_port", "29531")
    finished = run_warm("python", *torchrun, "-m", "harness_ext.cli", "--config", runs, f"--models-file={models_file}")
    assert finished.returncode == 0, finished.stderr
    assert json.loads(next(tmp_path.glob("out/*/*_results.json")).read_text())["n-samples"]["glyphworld_text"]
