import pytest

from harness_ext.benchmark.preflight import check_access_for, need_gated_images, require_sources
from harness_ext.benchmark.sources import SourceError


@pytest.mark.parametrize(
    ("tasks", "needed"),
    [
        (["unsafeconcepts"], True),
        (["unsafeconcepts_image_sampled"], True),
        (["glyphworld", "unsafeconcepts_perception"], True),
        (["unsafeconcepts_text", "unsafeconcepts_text_blank"], False),
        (["glyphworld", "mme"], False),
    ],
)
def test_which_tasks_show_gated_images(tasks, needed):
    assert need_gated_images(tasks) is needed


def test_the_stand_in_and_the_text_probe_ask_nobody(monkeypatch):
    monkeypatch.setenv("UNSAFECONCEPTS_PATH", "/nowhere")
    check_access_for(["glyphworld", "unsafeconcepts_text"])
    require_sources(["glyphworld", "unsafeconcepts_text"])


def test_what_is_missing_is_said_before_anything_else(monkeypatch):
    monkeypatch.setenv("UNSAFECONCEPTS_PATH", "/nowhere")
    for check in (check_access_for, require_sources):
        with pytest.raises(SourceError, match="/nowhere, which does not exist"):
            check(["unsafeconcepts_image"])


def test_missing_options_show_before_the_images_are_read(monkeypatch, tmp_path):
    (tmp_path / "metadata.jsonl").write_text("not JSON")
    monkeypatch.setenv("UNSAFECONCEPTS_PATH", str(tmp_path))
    monkeypatch.setenv("UNSAFECONCEPTS_PERCEPTION_OPTIONS", str(tmp_path / "missing.jsonl"))
    with pytest.raises(SourceError, match=r"missing\.jsonl"):
        require_sources(["unsafeconcepts_perception"])
