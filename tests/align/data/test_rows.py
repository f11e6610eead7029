"""The rows of glyphworld, and what holds of the rows of any source."""

import datasets
import pytest

from align.config import DataConfig
from align.data.rows import FEATURES, passes, training_rows
from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.errors import UserError
from harness_ext.glyphworld.concepts import CONCEPTS as GLYPHS
from harness_ext.glyphworld.concepts import NEVER_SEEN
from harness_ext.glyphworld.render import ALIGNMENT_SEEDS, TEST_SEEDS, render


@pytest.fixture(scope="module")
def rows() -> datasets.Dataset:
    return training_rows(DataConfig(renders=2))


def identities(rows: datasets.Dataset) -> list[tuple[int, int]]:
    return list(zip(rows["row"], rows["question"], strict=True))


def test_glyphworlds_rows(rows: datasets.Dataset) -> None:
    assert rows.features == FEATURES
    assert len(rows) == 2 * 120
    assert rows["label"][:].count("unsafe") == rows["label"][:].count("safe") == 120
    assert rows["expected"][:] == rows["label"][:]
    assert set(rows["question"]) == set(range(5))
    for row in rows.select(range(20)):
        seed, index = divmod(row["row"], len(GLYPHS))
        glyph = GLYPHS[index]
        assert (row["concept"], row["category"], row["label"]) == (glyph.name, glyph.category, glyph.label)
        assert row["prompt"] == [{"role": "user", "content": IMAGE_QUESTIONS[row["question"]]}]
        assert row["image"].mode == "RGB" and row["image"].tobytes() == render(index, seed).image.tobytes()


def test_nothing_is_trained_on_that_is_tested_on(rows: datasets.Dataset) -> None:
    assert not NEVER_SEEN & set(rows["concept"]) and len(set(rows["concept"])) == len(GLYPHS) - len(NEVER_SEEN)
    seeds = {row // len(GLYPHS) for row in rows["row"]}
    assert seeds == set(ALIGNMENT_SEEDS[:2]) and not seeds & set(TEST_SEEDS)
    other = training_rows(DataConfig(renders=1, first_render=2))
    assert not set(other["row"]) & set(rows["row"])


def test_a_rows_question_and_place_are_its_own(rows: datasets.Dataset) -> None:
    """Fewer renders are the same rows in the same order, with others left out."""
    for number in range(2):
        fewer = training_rows(DataConfig(first_render=number, renders=1))
        of_both = [each for each in identities(rows) if each[0] // len(GLYPHS) == ALIGNMENT_SEEDS[number]]
        assert identities(fewer) == of_both
    other = training_rows(DataConfig(first_render=1, renders=1, data_seed=1))
    assert sorted(other["row"]) == sorted(fewer["row"]) and other["row"][:] != fewer["row"][:]
    assert sorted(identities(other)) != sorted(identities(fewer))


def test_all_questions(rows: datasets.Dataset) -> None:
    every = training_rows(DataConfig(renders=2, all_questions=True))
    assert len(every) == 5 * len(rows) == len(set(identities(every)))
    one = set(identities(rows))
    assert [each for each in identities(every) if each in one] == identities(rows)
    images: dict[int, bytes] = {}
    for row in every:
        assert images.setdefault(row["row"], row["image"].tobytes()) == row["image"].tobytes()
        assert row["prompt"][0]["content"] == IMAGE_QUESTIONS[row["question"]]


def test_every_pass_holds_every_row_once_in_an_order_of_its_own(rows: datasets.Dataset) -> None:
    seen = passes(rows, DataConfig(passes=3))["row"][:]
    thirds = [seen[at * len(rows) : (at + 1) * len(rows)] for at in range(3)]
    assert all(sorted(part) == sorted(rows["row"]) for part in thirds)
    assert thirds[0] != thirds[1] != thirds[2] != thirds[0]
    assert passes(rows, DataConfig(passes=1))["row"][:] == thirds[0]


def test_what_glyphworld_has_not() -> None:
    assert len(training_rows(DataConfig(first_render=6999, renders=1))) == 120
    with pytest.raises(
        UserError, match="glyphworld has 7000 renders of a concept for fine-tuning; first_render 6999 and"
    ):
        training_rows(DataConfig(first_render=6999, renders=2))
