import re
from pathlib import Path

import lm_eval
import lmms_eval
import pytest
import yaml

from harness_ext.hooks import register_tasks
from harness_ext.probes.files import tasks_folder
from harness_ext.retention.benchmarks import JUDGED, METRICS, SUITES, benchmarks, harness_of

EVERY = [(suite, task) for suite in ("vision", "text", "glyphworld") for task in benchmarks(suite)]


def test_the_suites():
    assert benchmarks("vision") == ["mme", "llava_in_the_wild", "mmstar", "pope", "realworldqa", "ai2d"]
    assert benchmarks("text") == ["mmlu", "hellaswag", "arc_challenge", "truthfulqa_mc2"]
    assert benchmarks("glyphworld") == ["glyphworld_capability", "glyphworld_perception", "glyphworld_text"]
    assert JUDGED in benchmarks("vision")
    # A stand-in is asked by its name, and is in no table of benchmarks.
    assert SUITES["all"] == ("vision", "text")


def test_a_benchmark_can_be_left_out():
    assert benchmarks("vision", [JUDGED, "pope"]) == ["mme", "mmstar", "realworldqa", "ai2d"]


def test_lmms_eval_knows_the_groups_and_their_tasks():
    from lmms_eval.tasks import TaskManager

    register_tasks()
    manager = TaskManager("ERROR")
    assert {"retention_vision", "retention_glyphworld"} <= set(manager.all_groups)
    assert {*benchmarks("vision"), *benchmarks("glyphworld")} <= set(manager.all_subtasks)


@pytest.mark.parametrize(("suite", "task"), [each for each in EVERY if each[1] != "mmlu"])
def test_the_numbers_that_sum_up_a_benchmark_are_its_own(suite, task):
    if suite == "glyphworld":
        folder = tasks_folder("lmms_eval")
    else:
        folder = Path({"lmms_eval": lmms_eval, "lm_eval": lm_eval}[harness_of(suite)].__file__).parent / "tasks"
    reported = _metrics_of(folder, task)
    assert {name.split(",")[0] for name in METRICS[task]} <= reported


def _metrics_of(folder, task):
    """The metrics that a task's YAML names, or one that it includes."""
    named = re.compile(rf"^task: *[\"']?{task}[\"']? *$", re.MULTILINE)
    (file,) = [file for file in folder.rglob("*.yaml") if named.search(file.read_text(encoding="utf-8"))]
    content = _read(file)
    while "metric_list" not in content:
        include = content["include"][0] if isinstance(content["include"], list) else content["include"]
        file = file.parent / include
        content = _read(file)
    return {entry["metric"] for entry in content["metric_list"]}


def _read(file):
    return yaml.safe_load(file.read_text(encoding="utf-8").replace("!function ", ""))
