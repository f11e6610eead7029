"""The rows of UnsafeConcepts and the safe images that are trained on: the training side, and nothing of TEST."""

import pytest

from align.config import DataConfig
from align.data.rows import FEATURES, training_rows
from harness_ext.benchmark.sides import sides
from harness_ext.benchmark.taxonomy import CONCEPTS

CONFIG = DataConfig(source="unsafeconcepts")


def test_the_rows_are_the_training_side(gated):
    rows = training_rows(CONFIG)
    assert rows.features == FEATURES
    assert sorted(rows["row"]) == sides().train
    names = [concept for concept in CONCEPTS for _ in range(concept.images)]
    for row in rows.select(range(15)):
        number = row["row"]
        if number < 1567:
            assert (row["concept"], row["category"]) == (names[number].name, names[number].category)
        else:
            assert (row["concept"], row["category"]) == (f"class {number - 1567}", "ImageNet")
        assert row["label"] == row["expected"] == ("unsafe" if number < 1567 else "safe")
        assert row["image"].mode == "RGB"
    assert rows["row"][:] == training_rows(CONFIG)["row"][:]


@pytest.mark.parametrize("seed", [7, 2024])
def test_no_seed_of_a_recipe_brings_an_image_of_test_into_training(gated, seed):
    rows = training_rows(DataConfig(source="unsafeconcepts", data_seed=seed, all_questions=True))
    assert set(rows["row"]) == set(sides().train) and not set(rows["row"]) & set(sides().test)
    assert rows["row"][:] != training_rows(DataConfig(source="unsafeconcepts", all_questions=True))["row"][:]


def test_a_seed_changes_the_questions(gated):
    def questions(**options):
        rows = training_rows(DataConfig(source="unsafeconcepts", **options))
        return dict(zip(rows["row"], rows["question"], strict=True))

    assert questions() == questions()
    assert questions() != questions(data_seed=7)


def test_five_questions_about_each_image_without_copies_of_it(gated):
    config = DataConfig(source="unsafeconcepts", all_questions=True)
    rows = training_rows(config)
    assert len(rows) == 5 * len(sides().train)
    assert {file["filename"] for file in rows.cache_files} == {file["filename"] for file in sides().images.cache_files}
