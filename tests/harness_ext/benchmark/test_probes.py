"""The table of probes and groups, and what follows from it for a benchmark."""

from collections import Counter

import pytest

from harness_ext.benchmark import probes
from harness_ext.benchmark.probes import GROUPS, OF_RECORD, PROBES, groups_of, members, tasks_of
from harness_ext.common.errors import UserError
from harness_ext.glyphworld.benchmark import Glyphworld
from harness_ext.unsafeconcepts.benchmark import UnsafeConcepts


def test_a_row_of_the_table_is_a_probe_with_a_record_of_its_own_or_anothers():
    assert {probe.record for probe in PROBES.values()} <= PROBES.keys()
    assert Counter(probe.record for probe in PROBES.values())["text"] == 2 and PROBES["text_blank"].record == "text"
    assert OF_RECORD["text"] is PROBES["text"]
    assert all(probe.title for probe in PROBES.values())


def test_a_group_is_of_probes_and_of_groups_that_stand_behind_it():
    listed = list(GROUPS)
    for at, group in enumerate(GROUPS.values()):
        assert all(member in PROBES or member in listed[at + 1 :] for member in group.members)
        assert len(group.members) == 2 if group.gap else True
    assert [probe.name for probe in members("")] == ["perception", "image", "text", "text_blank", "capability"]


@pytest.mark.parametrize(
    ("file", "row", "says"),
    [
        (
            "probes.yaml",
            "new: {title: New, asks: everything}",
            "asks: Input should be 'perception', 'alignment' or 'cap",
        ),
        ("probes.yaml", "new: {title: New, colection: test}", "colection"),
        ("groups.yaml", "new: {members: []}", "members"),
    ],
)
def test_a_row_that_says_what_no_row_can_say_is_named(tmp_path, monkeypatch, file, row, says):
    (tmp_path / file).write_text(row)
    monkeypatch.setattr(probes, "task_folder", lambda harness: tmp_path)
    with pytest.raises(UserError) as caught:
        probes._table(file, probes.Probe if file == "probes.yaml" else probes.Group)
    assert str(tmp_path / file) in str(caught.value) and says in str(caught.value)


def test_a_benchmark_has_the_tasks_that_it_offers_what_they_need():
    class OfNames(UnsafeConcepts):
        name = "names"
        offers = ("contexts",)

    about_names = {"text", "text_blank", "context_text_safe", "context_text_unsafe"}
    assert {task.probe.name for task in tasks_of(OfNames()).values()} == about_names
    # A gap needs both of its members; the other groups are what is left of them.
    assert {name: group.members for name, group in groups_of(OfNames()).items()} == {
        "names": ("names_text_blank",),
        "names_sampled": ("names_text_blank_sampled",),
    }
    capability = {task.probe.name for task in tasks_of(Glyphworld()).values()} - {
        task.probe.name for task in tasks_of(UnsafeConcepts()).values()
    }
    assert capability == {"capability"}


def test_a_group_has_all_tasks_of_its_members_in_one_manner():
    found = groups_of(Glyphworld())
    assert [task.name for task in found["glyphworld_sampled"].tasks] == [
        "glyphworld_perception_sampled",
        "glyphworld_image_sampled",
        "glyphworld_text_sampled",
        "glyphworld_text_blank_sampled",
    ]
    for group in found.values():
        assert {task.manner for task in group.tasks} == {group.manner}
        assert {probe.name for probe in members(group.group.name)} >= {task.probe.name for task in group.tasks}
