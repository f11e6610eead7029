import pytest
from labelled_copies import columns, write

from harness_ext.common.errors import SourceError, UserError
from harness_ext.glyphworld.rows import BLOCK_VARIABLE
from harness_ext.probes.preflight import check_access_for, needs, require_sources


@pytest.mark.parametrize(
    ("tasks", "needed"),
    [
        (["unsafeconcepts"], {"unsafeconcepts": {"images", "options"}}),
        (["unsafeconcepts_image_sampled"], {"unsafeconcepts": {"images"}}),
        (["unsafeconcepts_gap", "unsafeconcepts_gap_likelihood"], {"unsafeconcepts": {"images"}}),
        (
            ["glyphworld", "unsafeconcepts_perception_sampled"],
            {"glyphworld": {"images", "options", "capability"}, "unsafeconcepts": {"images", "options"}},
        ),
        (["unsafeconcepts_sampled"], {"unsafeconcepts": {"images", "options"}}),
        (["unsafeconcepts_text", "unsafeconcepts_text_blank"], {"unsafeconcepts": set()}),
        (["unsafeconcepts_test"], {"unsafeconcepts": {"test"}}),
        (
            ["unsafeconcepts_context_safe", "unsafeconcepts_context_image_unsafe"],
            {"unsafeconcepts": {"images", "contexts"}},
        ),
        (["unsafeconcepts_context_text_safe"], {"unsafeconcepts": {"contexts"}}),
        (["unsafeconcepts_contexts"], {"unsafeconcepts": {"images", "contexts"}}),
        (
            ["unsafeconcepts_test_all_questions", "unsafeconcepts_smid_all_questions"],
            {"unsafeconcepts": {"test", "smid"}},
        ),
        (["unsafeconcepts_smid", "unsafeconcepts_text"], {"unsafeconcepts": {"smid"}}),
        (["unsafeconcepts_nsfw"], {"unsafeconcepts": {"nsfw"}}),
        (["unsafeconcepts_generalisation"], {"unsafeconcepts": {"images", "test", "contexts", "smid", "nsfw"}}),
        (
            ["glyphworld", "glyphworld_generalisation", "mme"],
            {"glyphworld": {"images", "options", "capability", "test", "contexts"}},
        ),
        (["mme"], {}),
    ],
)
def test_what_tasks_need(tasks, needed):
    assert {benchmark.name: found for benchmark, found in needs(tasks).items()} == needed


def test_the_stand_in_and_the_text_probe_ask_nobody(monkeypatch):
    monkeypatch.setenv("UNSAFECONCEPTS_PATH", "/nowhere")
    check_access_for(["glyphworld", "unsafeconcepts_text"])
    require_sources(["glyphworld", "unsafeconcepts_text"])


def test_contexts_are_about_unsafe_images_alone(gated, monkeypatch):
    monkeypatch.setenv("UNSAFECONCEPTS_SAFE_PATH", "/nowhere")
    check_access_for(["unsafeconcepts_context_unsafe", "unsafeconcepts_context_image_safe"])


def test_what_is_missing_is_said_before_anything_else(monkeypatch):
    monkeypatch.setenv("UNSAFECONCEPTS_PATH", "/nowhere")
    for check in (check_access_for, require_sources):
        with pytest.raises(SourceError, match="/nowhere, which does not exist"):
            check(["unsafeconcepts_image"])


@pytest.mark.parametrize("block", ["99", "-1", "first"])
def test_a_block_of_renders_that_there_is_not(monkeypatch, block):
    monkeypatch.setenv(BLOCK_VARIABLE, block)
    with pytest.raises(
        UserError, match=f"{BLOCK_VARIABLE}: expected a block of test renders, 0 to 98, found '{block}'"
    ):
        check_access_for(["glyphworld_image"])


def test_missing_options_show_before_the_images_are_read(monkeypatch, tmp_path):
    (tmp_path / "metadata.jsonl").write_text("not JSON")
    monkeypatch.setenv("UNSAFECONCEPTS_PATH", str(tmp_path))
    monkeypatch.setenv("UNSAFECONCEPTS_PERCEPTION_OPTIONS", str(tmp_path / "missing.jsonl"))
    with pytest.raises(SourceError, match=r"missing\.jsonl"):
        require_sources(["unsafeconcepts_perception"])


@pytest.mark.parametrize(
    ("task", "variable"),
    [
        ("unsafeconcepts_test", "UNSAFECONCEPTS_PATH"),
        ("unsafeconcepts_test", "UNSAFECONCEPTS_SAFE_PATH"),
        ("unsafeconcepts_context_unsafe", "UNSAFECONCEPTS_PATH"),
        ("unsafeconcepts_smid", "UNSAFECONCEPTS_SMID_PATH"),
        ("unsafeconcepts_generalisation", "UNSAFECONCEPTS_SAFE_PATH"),
        ("unsafeconcepts_generalisation", "UNSAFECONCEPTS_NSFW_PATH"),
    ],
)
def test_every_source_of_a_task_is_asked_for(gated, tmp_path, monkeypatch, task, variable):
    monkeypatch.setenv("UNSAFECONCEPTS_SMID_PATH", str(write(tmp_path / "smid.parquet", columns())))
    monkeypatch.setenv("UNSAFECONCEPTS_NSFW_PATH", str(write(tmp_path / "nsfw.parquet", columns())))
    check_access_for([task])
    monkeypatch.setenv(variable, "/nowhere")
    for check in (check_access_for, require_sources):
        with pytest.raises(SourceError, match=f"{variable} names /nowhere, which does not exist"):
            check([task])


def test_missing_context_questions_show_before_the_images_are_read(gated, monkeypatch, tmp_path):
    monkeypatch.setenv("UNSAFECONCEPTS_CONTEXT_QUESTIONS", str(tmp_path / "missing.json"))
    monkeypatch.setattr("harness_ext.unsafeconcepts.load.load_set", None)
    with pytest.raises(SourceError, match=r"missing\.json"):
        require_sources(["unsafeconcepts_context_safe"])
