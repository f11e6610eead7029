"""Contract tests: what ``harness_ext/hooks.py`` patches is still there, and the harnesses still do what the patches rely on.

A failure here means that lmms-eval or lm-eval changed, not that our patch is wrong: read the code that the message names,
adapt ``harness_ext/hooks.py``, then raise the version in setup.cfg.
"""

import argparse
import ast
import importlib
import inspect
import json
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import lmms_eval.models
import pytest
import yaml
from lm_eval.loggers import EvaluationTracker as LmTracker
from lmms_eval import __main__ as lmms_main
from lmms_eval.loggers.evaluation_tracker import EvaluationTracker, GeneralConfigTracker
from lmms_eval.tasks import TaskManager
from loguru import logger
from own_folders import YAML, own_folder

from harness_ext import hooks, registry
from harness_ext.common.errors import UserError
from harness_ext.hooks import LM_EVAL_SWALLOWS, LMMS_EVAL_SWALLOWS, Swallowed, register_language_sides
from harness_ext.models.catalogue import load_catalogue
from harness_ext.models.language import LanguageSide

ROOT = Path(__file__).parents[2]
TOKEN = "hf_" + "a" * 30


@pytest.fixture(scope="module", autouse=True)
def patched():
    """The plugin's patches; its entry point is loaded with ``lmms_eval.models``."""
    hooks.register_tasks()
    TaskManager.initialize_tasks(SimpleNamespace(_get_task_and_group=files_of))


def files_of(folder):
    """A stand-in for the harness's index of a folder, which takes seconds."""
    return {file.stem: {"type": "task", "yaml_path": str(file)} for file in Path(folder).rglob("*.yaml")}


def original(owner, name):
    """What the harness itself has under a name that may be patched."""
    return inspect.unwrap(getattr(owner, name))


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (TaskManager, "initialize_tasks", ["self", "include_path", "include_defaults"]),
        (TaskManager, "match_tasks", ["self", "task_list"]),
        (
            GeneralConfigTracker,
            "log_experiment_args",
            ["self", "model_source", "model_args", "system_instruction", "chat_template", "fewshot_as_multiturn"],
        ),
        (EvaluationTracker, "save_results_aggregated", ["self", "results", "samples", "datetime_str"]),
        (EvaluationTracker, "save_results_samples", ["self", "task_name", "samples"]),
        (lmms_main, "cli_evaluate_single", ["args"]),
        (LmTracker, "save_results_aggregated", ["self", "results", "samples"]),
        (LmTracker, "save_results_samples", ["self", "task_name", "samples"]),
    ],
    ids=lambda value: getattr(value, "__module__", value) if not isinstance(value, list) else "",
)
def test_what_is_patched_is_there_and_takes_the_same(owner, name, parameters):
    function = original(owner, name)
    assert list(inspect.signature(function).parameters) == parameters, f"{function.__module__}.{name} changed"
    assert name in hooks.__doc__


def lines_that_patch(source):
    """The lines that set an attribute of something imported from a harness."""
    nodes = list(ast.walk(ast.parse(source)))
    theirs = {
        (alias.asname or alias.name).split(".")[0]
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if (getattr(node, "module", None) or alias.name).split(".")[0] in ("lmms_eval", "lm_eval")
    }
    found = []
    for node in nodes:
        targets = [each for each in getattr(node, "targets", [getattr(node, "target", None)]) if not is_name(each)]
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("setattr", "delattr"):
            targets = node.args[:1]
        for target in targets:
            while isinstance(target, ast.Attribute | ast.Subscript):
                target = target.value
            if is_name(target) and target.id in theirs:
                found.append(node.lineno)
    return found


def is_name(node):
    return isinstance(node, ast.Name)


def test_nothing_of_a_harness_is_patched_elsewhere():
    head = "import lmms_eval.tasks\nfrom lm_eval import models as theirs\n"
    found = lines_that_patch(head + "setattr(theirs, 'a', 1)\nlmms_eval.tasks.A.b = theirs.c['d'] = 1\na = 1")
    assert sorted(found) == [3, 4, 4]
    files = {*ROOT.glob("harness_ext/**/*.py"), *ROOT.glob("align/**/*.py")} - {Path(hooks.__file__)}
    found = {str(file): lines for file in files if (lines := lines_that_patch(file.read_text(encoding="utf-8")))}
    assert not found and len(files) > 100


def test_a_task_manager_indexes_through_what_is_patched_and_lmms_evals_own_tasks_win():
    class Manager(TaskManager):
        def initialize_tasks(self, **given):
            self.given = given
            return {}

        def _get_task_and_group(self, folder):
            return files_of(folder) | {"a": folder}

    manager = Manager(include_path="mine", include_defaults=False)
    assert manager.given == {"include_path": "mine", "include_defaults": False}
    assert TaskManager.initialize_tasks(manager, ["mine"], False) == {"a": "mine"}
    found = TaskManager.initialize_tasks(manager, "mine")
    assert found["a"].startswith(str(Path(lmms_eval.models.__file__).parents[1] / "tasks"))


def test_a_name_of_ours_that_the_harness_has_too_is_refused(tmp_path):
    (tmp_path / "glyphworld_image.yaml").write_text("task: glyphworld_image")
    with pytest.raises(UserError, match=f"glyphworld_image.*{tmp_path}"):
        TaskManager.initialize_tasks(SimpleNamespace(_get_task_and_group=files_of), str(tmp_path))

    def tagged(folder):
        return files_of(folder) | {"glyphworld": {"type": "tag", "task": [], "yaml_path": -1}}

    with pytest.raises(UserError, match="'glyphworld'"):
        TaskManager.initialize_tasks(SimpleNamespace(_get_task_and_group=tagged))


def test_a_users_benchmark_with_a_name_of_the_harness_is_left_out_or_ends_our_command(tmp_path, monkeypatch, capsys):
    for name, value in (("_left_out", set()), ("_lenient", False)):
        monkeypatch.setattr(registry, name, value)  # as it was, afterwards
    good, bad, faulty = (
        own_folder(tmp_path / name, YAML.replace("my-policy", name)) for name in ("good", "mme", "faulty")
    )
    (faulty / "benchmark.yaml").write_text("name: faulty")
    monkeypatch.setenv("UNSAFECONCEPTS_BENCHMARKS", f"{good}:{bad}:{faulty}")
    monkeypatch.setattr(hooks, "_faults_end_it", True)
    with pytest.raises(UserError, match="faulty: 1 thing to correct"):
        TaskManager()
    monkeypatch.setenv("UNSAFECONCEPTS_BENCHMARKS", f"{good}:{bad}")
    with pytest.raises(UserError, match="'mme' of its own"):
        TaskManager()
    monkeypatch.setattr(hooks, "_faults_end_it", False)
    monkeypatch.setenv("UNSAFECONCEPTS_BENCHMARKS", f"{good}:{bad}:{faulty}")
    names = TaskManager().all_tasks
    assert {"good_image", "good", "mme", "glyphworld_image"} <= set(names)
    assert not {"mme_image", "faulty_image"} & set(names) and "mme" not in registry.benchmarks()
    said = capsys.readouterr().err
    assert "faulty: 1 thing to correct" in said and "The benchmark mme is left out." in said


def test_libyaml_makes_of_a_task_file_what_lmms_eval_makes_of_it(monkeypatch):
    read = lmms_eval.utils.load_yaml_config
    tasks = Path(lmms_eval.models.__file__).parents[1] / "tasks"
    files = [str(file) for folder in ("mme", "pope", "llava-in-the-wild") for file in (tasks / folder).glob("*.yaml")]
    found = str([read(file, mode="simple") for file in files])
    assert "!function" in "".join(Path(file).read_text() for file in files)
    with hooks._parsed_by_libyaml():
        monkeypatch.setattr(yaml.FullLoader, "get_single_data", None)
        assert str([read(file, mode="simple") for file in files]) == found
    assert "yaml.full_load(" in inspect.getsource(read)


def test_tasks_are_matched_before_a_model_is_built():
    manager = SimpleNamespace(all_tasks=["glyphworld_text", "glyphworld_image", "mme"])
    assert sorted(TaskManager.match_tasks(manager, ["glyphworld_*"])) == ["glyphworld_image", "glyphworld_text"]
    assert TaskManager.match_tasks(manager, iter(["mme"])) == ["mme"]
    with pytest.raises(UserError, match="no task 'glyphworld_txt'; did you mean glyphworld_text"):
        TaskManager.match_tasks(manager, ["glyphworld_txt"])
    source = inspect.getsource(original(lmms_main, "cli_evaluate_single"))
    assert 0 < source.index(".match_tasks(") < source.index("simple_evaluate(")


def test_the_list_of_models_reads_what_is_added_to(capsys):
    from lmms_eval.cli.models_cmd import run_models

    listed = lmms_eval.models.AVAILABLE_CHAT_TEMPLATE_MODELS
    assert set(load_catalogue()) <= set(listed) and all(name == listed[name] for name in load_catalogue())
    run_models(argparse.Namespace(aliases=False))
    assert "\nqwen2.5-vl-3b " in capsys.readouterr().out
    assert "AVAILABLE_CHAT_TEMPLATE_MODELS" in hooks.__doc__


@pytest.mark.parametrize(
    ("model", "arguments", "own", "ours"),
    [
        ("llava-7b", "device=cpu", "", "llava-7b"),
        ("llava-7b", "adapter=me/it", "", "llava-7b+it-"),
        ("hf-vlm", "pretrained=me/it", "me/it", "me/it"),
        ("openai", "model=it", "it", "it"),
    ],
)
def test_a_result_folder_is_named_after_the_arguments(model, arguments, own, ours):
    tracker = GeneralConfigTracker()
    given = {"model_args": arguments, "system_instruction": "", "chat_template": "", "fewshot_as_multiturn": False}
    original(GeneralConfigTracker, "log_experiment_args")(tracker, model_source=model, **given)
    assert tracker.model_name == own
    tracker.log_experiment_args(model_source=model, **given)
    assert tracker.model_name.startswith(ours)
    assert tracker.model_name_sanitized == lmms_eval.utils.sanitize_model_name(tracker.model_name)


def test_lmms_eval_hands_its_trackers_what_is_patched_by_name():
    """The patches read ``model_args`` among the keywords, and are called with ``results`` and ``samples`` by name."""
    calls = [
        node
        for module in (lmms_main, importlib.import_module("lmms_eval.evaluator"))
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    named = {call.func.attr: [word.arg for word in call.keywords] for call in calls if not call.args}
    assert "model_args" in named["log_experiment_args"]
    assert named["save_results_aggregated"] == ["results", "samples", "datetime_str"]
    assert named["save_results_samples"] == ["task_name", "samples"]


def test_results_are_saved_where_they_are_read_back(tmp_path):
    tracker = EvaluationTracker(output_path=str(tmp_path))
    tracker.general_config_tracker.log_experiment_args("glyph-vlm", "", "", "", False)
    results = {"config": {}, "configs": {"a": {"doc_to_text": test_results_are_saved_where_they_are_read_back}}}
    tracker.save_results_aggregated(results=results, samples=None, datetime_str="20260101_12:00:00")
    (file,) = tmp_path.rglob("*.json")
    assert file == tmp_path / tracker.general_config_tracker.model_name_sanitized / "20260101_12-00-00_results.json"
    saved = json.loads(file.read_text())
    assert "unsafeconcepts_version" in saved["config"]
    assert saved["configs"]["a"]["doc_to_text"] == "<function test_results_are_saved_where_they_are_read_back>"


def test_the_patcher_of_the_log_is_ours_alone():
    """lmms-eval logs with loguru's one logger and sets no patcher, which would take ours away."""
    lines: list[str] = []
    handler = logger.add(lines.append, format="{message}")
    lmms_main.eval_logger.warning(f"token={TOKEN}")
    logger.remove(handler)
    assert lines == ["token=[HF_TOKEN]\n"]
    folder = Path(lmms_main.__file__).parent
    for file in (
        *folder.glob("*.py"),
        *folder.glob("loggers/*.py"),
        *folder.glob("cli/*.py"),
        *folder.glob("models/*.py"),
    ):
        assert "logger.configure(" not in file.read_text(encoding="utf-8"), file


def test_each_evaluation_goes_through_what_is_patched():
    """``cli_evaluate`` looks the function up by its global name, and takes a pair from it."""
    evaluate = original(lmms_main, "cli_evaluate")
    assert "cli_evaluate_single" in evaluate.__code__.co_names
    assert "results, samples = cli_evaluate_single(args)" in inspect.getsource(evaluate)
    # All handlers are removed there first: ours must be added after it.
    assert "eval_logger.remove()" in inspect.getsource(evaluate)


@pytest.mark.parametrize("name", [*LMMS_EVAL_SWALLOWS[:-1], *LM_EVAL_SWALLOWS])
def test_a_harness_logs_what_it_catches_under_the_name_of_the_module(name):
    module = importlib.import_module(name)
    source = inspect.getsource(module)
    assert "except Exception as e:" in source
    if name.startswith("lmms_eval"):
        assert importlib.import_module("lmms_eval.__main__").eval_logger is logger
        assert "eval_logger" in source
    else:
        assert "eval_logger = logging.getLogger(__name__)" in source


def test_where_results_are_read_back_is_watched_too():
    assert LMMS_EVAL_SWALLOWS[-1] == hooks.__name__


def test_errors_that_lmms_eval_logs_are_told_from_messages():
    swallowed = Swallowed("lmms_eval.evaluator")
    record = logging.makeLogRecord({"name": "lmms_eval.evaluator", "msg": "[Baseline] Failed for a: no such file"})
    swallowed.handle(record)
    assert not swallowed.errors
    try:
        raise ValueError("no such file")
    except ValueError:
        swallowed.handle(record)
        swallowed.handle(record)
        swallowed.handle(logging.makeLogRecord({"name": "lmms_eval.utils", "msg": "no commit"}))
    assert [said for _, said in swallowed.errors] == ["[Baseline] Failed for a: no such file"]


def test_lm_eval_knows_every_name_of_the_catalogue_and_imports_it_when_asked():
    from lm_eval.api.registry import get_model, model_registry

    register_language_sides()
    assert set(load_catalogue()) <= set(model_registry)
    found = get_model("qwen2.5-vl-3b")
    assert issubclass(found, LanguageSide)
    assert found.__name__ == "qwen2.5-vl-3b"
    # A name that lm-eval has too, and that has no language side here, stays lm-eval's.
    assert str(model_registry._objs["vllm-vlm"]).startswith("lm_eval.models.")
    register_language_sides()


def test_a_name_that_lm_eval_uses_itself_is_refused(untrained_vlm, tmp_path, monkeypatch):
    file = tmp_path / "models.yaml"
    file.write_text(f"hf: {{weights: {untrained_vlm}}}\n")
    monkeypatch.setenv("UNSAFECONCEPTS_MODELS", str(file))
    with pytest.raises(UserError, match="'hf' is the name of a model of lm-eval's own"):
        register_language_sides()


def test_the_patches_import_nothing_heavy():
    code = (
        "import sys, harness_ext.plugin;"
        "print(sorted({'torch', 'transformers', 'datasets', 'lmms_eval', 'lm_eval', 'loguru'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
