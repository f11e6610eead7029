import re
from pathlib import Path

import lm_eval
import lmms_eval
import pytest
import yaml

from harness_ext.hooks import register_tasks
from harness_ext.probes.files import tasks_folder
from harness_ext.retention.benchmarks import (
    _DATA,
    HOLISAFE_JUDGED,
    JUDGED,
    LLAVA_BENCH,
    METRICS,
    SUITES,
    benchmarks,
    harness_of,
)

EVERY = [(suite, task) for suite in ("vision", "text", "safety", "glyphworld") for task in benchmarks(suite)]


def test_the_suites():
    assert benchmarks("vision") == ["mme", "llava_in_the_wild", "mmstar", "pope", "realworldqa", "ai2d"]
    assert benchmarks("text") == ["mmlu", "hellaswag", "arc_challenge", "truthfulqa_mc2"]
    assert benchmarks("glyphworld") == ["glyphworld_capability", "glyphworld_perception", "glyphworld_text"]
    assert benchmarks("safety") == [
        "holisafe",
        HOLISAFE_JUDGED,
        "safety_jailbreakbench_harmful",
        "safety_jailbreakbench_benign",
    ]
    assert {*JUDGED} <= {*benchmarks("vision"), *benchmarks("safety")}
    # A stand-in is asked by its name, and is in no table of benchmarks; safety is no ability to be kept.
    assert SUITES["all"] == ("vision", "text")


def test_a_benchmark_can_be_left_out():
    assert benchmarks("vision", [LLAVA_BENCH, "pope"]) == ["mme", "mmstar", "realworldqa", "ai2d"]


def test_lmms_eval_knows_the_groups_and_their_tasks():
    from lmms_eval.tasks import TaskManager

    register_tasks()
    manager = TaskManager("ERROR")
    assert {"retention_vision", "retention_safety", "retention_glyphworld"} <= set(manager.all_groups)
    assert {task for suite, task in EVERY if suite != "text"} <= set(manager.all_subtasks)


@pytest.mark.parametrize(("suite", "task"), [each for each in EVERY if each[1] != "mmlu"])
def test_the_numbers_that_sum_up_a_benchmark_are_its_own(suite, task):
    reported = {entry["metric"]: entry.get("higher_is_better", True) for entry in _task(suite, task)["metric_list"]}
    titles = {name.split(",")[0]: title for name, title in METRICS[task].items()}
    assert titles.keys() <= reported.keys()
    # The reader is told where less is better, which is what the harness says.
    assert {name: "(less is better)" not in title for name, title in titles.items()} == {
        name: reported[name] for name in titles
    }


def test_holisafe_is_as_lmms_eval_asks_it_but_that_its_judge_sees_the_image_and_is_named():
    theirs, ours = _task("safety", "holisafe_llm_judge"), _task("safety", HOLISAFE_JUDGED)
    differing = {key for key in theirs | ours if theirs.get(key) != ours.get(key)}
    assert differing == {"task", "tag", "metadata", "process_results", "process_results_use_image"}
    assert ours["process_results_use_image"] is True


def test_where_the_data_of_safety_lie():
    data = {task: repository for repository, _, tasks in _DATA for task in tasks}
    assert data == {task: _task("safety", task)["dataset_path"] for task in benchmarks("safety")}


def _task(suite, task):
    """A task as its YAML has it, with the one that it includes."""
    named = re.compile(rf"^task: *[\"']?{task}[\"']? *$", re.MULTILINE)
    harness = {"lmms_eval": lmms_eval, "lm_eval": lm_eval}[harness_of(suite)]
    folders = (tasks_folder("lmms_eval"), Path(harness.__file__).parent / "tasks")
    (file,) = [file for each in folders for file in each.rglob("*.yaml") if named.search(file.read_text("utf-8"))]
    content = _read(file)
    while include := content.pop("include", None):
        file = file.parent / (include[0] if isinstance(include, list) else include)
        content = _read(file) | content
    return content


def _read(file):
    text = file.read_text(encoding="utf-8").replace("!function ", "")
    return yaml.safe_load(text.replace("lmms_eval.tasks.holisafe.", ""))
