"""The table of probes and the tasks' YAML say the same."""

from pathlib import Path
from typing import get_args

import pytest
import yaml

from harness_ext.benchmark import task_folder
from harness_ext.benchmark.probes import GROUPS, PROBES, TASKS, Task, manner, source_of, tasks_named, text_variant
from harness_ext.common.errors import UserError
from harness_ext.records import ProbeName

VISUALS = {"image": "image", "blank": "blank_image", "none": "no_image"}


def files() -> dict[str, dict]:
    found = [
        yaml.safe_load(path.read_text().replace("!function ", ""))
        for source in ("unsafeconcepts", "glyphworld")
        for path in (Path(task_folder("lmms_eval")) / source).glob("*.yaml")
    ]
    return {each.get("group") or each["task"]: each for each in found}


def expanded(content: dict[str, dict], group: str) -> set[Task]:
    return {
        task
        for name in content[group]["task"]
        for task in (expanded(content, name) if name in GROUPS else [TASKS[name]])
    }


def test_every_task_and_group_is_in_both():
    content = files()
    assert content.keys() == TASKS.keys() | GROUPS.keys()
    for group, tasks in GROUPS.items():
        assert expanded(content, group) == set(tasks)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_task_asks_shows_and_decodes_what_the_table_says(task):
    content = files()[task.name]
    assert content["process_docs"] == f"harness_ext.probes.rows.{task.name}"
    assert (
        content.get("doc_to_visual", "harness_ext.probes.rows.image")
        == f"harness_ext.probes.rows.{VISUALS[task.probe.shows]}"
    )
    assert f"{'../templates/' + task.manner}.template" in content["include"]


def test_every_probe_of_a_record_is_in_the_table():
    assert {probe.record for probe in PROBES} == set(get_args(ProbeName))


def test_a_name_is_looked_up_whole():
    assert (manner("glyphworld_image_sampled"), manner("unsafeconcepts_test")) == ("sampled", "greedy")
    assert (text_variant("glyphworld_text_likelihood"), text_variant("unsafeconcepts_text_blank")) == ("none", "blank")
    assert source_of("glyphworld_text") == "glyphworld" and source_of("glyphworld_words") is None
    for name in ("glyphworld_words", "my_glyphworld_text", "mme"):
        with pytest.raises(UserError, match=f"{name}: expected a task of this project"):
            manner(name)
    with pytest.raises(UserError, match="glyphworld_image: expected a text-only task"):
        text_variant("glyphworld_image")


def test_names_of_tasks_groups_and_patterns():
    assert [task.name for task in tasks_named(["unsafeconcepts_gap_sampled", "mme"])] == [
        "unsafeconcepts_image_sampled",
        "unsafeconcepts_text_sampled",
    ]
    assert tasks_named(["glyphworld_*", "unsafeconcepts_*"]) == [*tasks_named(["glyphworld_*"])] + [
        task for task in TASKS.values() if task.source == "unsafeconcepts"
    ]
    assert not tasks_named(["glyphworld_imag", "retention_vision"])
