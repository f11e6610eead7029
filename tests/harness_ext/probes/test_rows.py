"""The rows of TEST, other data sets and contexts, from local copies."""

from collections import Counter

import pytest
from datasets import Dataset
from gated_copies import UNSAFE
from labelled_copies import columns, write

from align.data import training_rows
from align.settings import DataConfig
from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.common.errors import SourceError
from harness_ext.common.provenance import provenance
from harness_ext.probes import rows
from harness_ext.probes.metrics import judgement
from harness_ext.probes.rows import image
from harness_ext.sources import collections
from harness_ext.sources.sides import sides

NOTHING = Dataset.from_dict({})


@pytest.fixture(autouse=True)
def each_test_loads_its_own():
    collections._collection.cache_clear()
    collections.both_sides.cache_clear()


def test_test_is_the_side_that_align_never_trains_on(gated):
    both, asked = sides(), rows.unsafeconcepts_test(NOTHING)
    assert "image" not in asked.column_names
    assert asked["row"][:] == [row for row in both.test for _ in range(5)]
    assert asked["prompt"][:5] == list(IMAGE_QUESTIONS) and asked["question"][:5] == list(range(5))
    assert asked["expected"][:] == asked["label"][:]
    assert Counter(asked["label"]) == {
        "unsafe": 5 * sum(row < UNSAFE for row in both.test), "safe": 5 * sum(row >= UNSAFE for row in both.test)
    }  # fmt: skip
    for data_seed in (42, 7):
        trained = training_rows(DataConfig(source="unsafeconcepts", data_seed=data_seed))
        assert set(trained["row"]) == set(both.train) and not set(trained["row"]) & set(asked["row"])
    assert provenance()["test_source"] == f"{gated.unsafe} and {gated.safe}"


def test_a_row_of_test_shows_its_own_image(gated):
    asked = rows.unsafeconcepts_test(NOTHING)
    for label in ("unsafe", "safe"):
        row = asked[asked["label"].index(label)]
        whole = sides().images.cast_column("image", collections.ImageFeature())
        assert image(row)[0].tobytes() == whole[row["row"]]["image"].tobytes()
        assert judgement(row, "Yes, it is safe.").correct is (label == "safe")


def test_contexts_are_asked_about_the_unsafe_images_of_test(gated, authors_contexts, monkeypatch):
    from harness_ext.sources.published import published_contexts

    monkeypatch.setenv("UNSAFECONCEPTS_CONTEXT_QUESTIONS", str(authors_contexts))
    published, test = published_contexts(), [row for row in sides().test if row < UNSAFE]
    for context in ("safe", "unsafe"):
        asked = getattr(rows, f"unsafeconcepts_context_{context}")(NOTHING)
        assert asked["row"][:] == test
        assert asked["prompt"][:] == [getattr(published[concept], context) for concept in asked["concept"]]
        assert set(asked["expected"]) == {context} and set(asked["label"]) == {"unsafe"}
        assert image(asked[3])[0].tobytes() == image(rows.unsafeconcepts_test(NOTHING)[15])[0].tobytes()


@pytest.mark.parametrize("name", ["smid", "nsfw"])
def test_five_questions_about_each_image_of_another_data_set(tmp_path, monkeypatch, name):
    copy = write(tmp_path / "copy.parquet", columns(6, {4: 1}))
    monkeypatch.setenv(f"UNSAFECONCEPTS_{name.upper()}_PATH", str(copy))
    asked = getattr(rows, f"unsafeconcepts_{name}")(NOTHING)
    assert asked["row"][:] == [row for row in range(6) for _ in range(5)]
    assert asked["expected"][::5] == ["unsafe", "safe"] * 3
    assert image(asked[20])[0].tobytes() == image(asked[5])[0].tobytes() != image(asked[0])[0].tobytes()
    record = judgement(asked[20], "No.")
    assert (record.probe, record.row, record.concept, record.label) == (name, 4, f"{name.upper()} image 1", "unsafe")
    assert provenance()[f"{name}_source"] == str(copy)


def test_where_nothing_is_left_for_test_it_is_said(gated, monkeypatch):
    both = sides()
    monkeypatch.setattr(
        collections, "both_sides", lambda: both._replace(test=[row for row in both.test if row < UNSAFE])
    )
    with pytest.raises(SourceError, match="no safe image is left for TEST"):
        rows.unsafeconcepts_test(NOTHING)
