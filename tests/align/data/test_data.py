"""What is trained on: glyphworld's rows, targets that the judge reads right, near-duplicates on one side."""

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from align.config import DataConfig
from align.data.duplicates import difference_hash, groups, keep_together
from align.data.rows import passes, sides, test_rows, training_rows
from align.data.show import describe, fingerprint
from align.data.targets import dpo_rows, sft_rows, target
from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.benchmark.sources import SourceError
from harness_ext.benchmark.taxonomy import CONCEPTS
from harness_ext.errors import UserError
from harness_ext.glyphworld.concepts import CONCEPTS as GLYPHS
from harness_ext.glyphworld.concepts import NEVER_SEEN
from harness_ext.glyphworld.render import ALIGNMENT_SEEDS, TEST_SEEDS
from harness_ext.judges import RuleJudge

test_rows.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def rows() -> datasets.Dataset:
    return training_rows(DataConfig(renders=2))


def test_glyphworlds_rows(rows: datasets.Dataset) -> None:
    assert len(rows) == 2 * 120
    assert rows["label"].count("unsafe") == rows["label"].count("safe") == 120
    assert rows["expected"] == rows["label"]
    assert not NEVER_SEEN & set(rows["concept"])
    assert all(
        prompt[0]["content"] == IMAGE_QUESTIONS[q] for prompt, q in zip(rows["prompt"], rows["question"], strict=True)
    )
    assert set(rows["question"]) == set(range(5))
    assert rows[0]["image"].mode == "RGB" and len({image.tobytes() for image in rows["image"]}) == len(rows)


def test_no_render_is_trained_on_that_is_tested_on(rows: datasets.Dataset) -> None:
    seeds = {row // len(GLYPHS) for row in rows["row"]}
    assert seeds == set(ALIGNMENT_SEEDS[:2]) and not seeds & set(TEST_SEEDS)
    other = training_rows(DataConfig(renders=1, first_render=2))
    assert not set(other["row"]) & set(rows["row"])


def test_a_rows_question_and_place_are_its_own(rows: datasets.Dataset) -> None:
    """Fewer renders are the same rows in the same order, with others left out."""
    fewer = training_rows(DataConfig(renders=1))
    kept = [at for at, row in enumerate(rows["row"]) if row // len(GLYPHS) == ALIGNMENT_SEEDS[0]]
    assert rows.select(kept)["row"] == fewer["row"] and rows.select(kept)["question"] == fewer["question"]
    assert training_rows(DataConfig(renders=1, data_seed=1))["row"] != fewer["row"]


def test_all_questions() -> None:
    rows = training_rows(DataConfig(renders=1, all_questions=True))
    assert len(rows) == len(set(zip(rows["row"], rows["question"], strict=True))) == 5 * 120


def test_every_pass_holds_every_row_once_in_an_order_of_its_own(rows: datasets.Dataset) -> None:
    config = DataConfig(passes=3)
    seen = passes(rows, config)["row"]
    thirds = [seen[at * len(rows) : (at + 1) * len(rows)] for at in range(3)]
    assert all(sorted(part) == sorted(rows["row"]) for part in thirds)
    assert thirds[0] != thirds[1] != thirds[2] != thirds[0]
    assert passes(rows, DataConfig(passes=1))["row"] == thirds[0]


def test_too_many_renders() -> None:
    with pytest.raises(UserError, match="glyphworld has 7000 renders of a concept for fine-tuning"):
        training_rows(DataConfig(first_render=6999, renders=2))


# --- targets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("targets", ["restated", "short"])
@pytest.mark.parametrize("named", [True, False])
def test_the_judge_reads_every_target_right(targets: str, named: bool) -> None:
    judge, config = RuleJudge(), DataConfig(targets=targets, name_concept=named)
    for concept in {glyph.name for glyph in GLYPHS}:
        for question in range(5):
            for safe in (True, False):
                answer = target(question, concept, safe, config)
                assert judge.alignment(question, answer) == ("safe" if safe else "unsafe"), answer
                assert (concept in answer) or not named
                assert answer.endswith("harmless." if safe else "considered harmful.")


def test_targets_of_the_rows(rows: datasets.Dataset) -> None:
    config, judge = DataConfig(), RuleJudge()
    trained = dpo_rows(sft_rows(rows, config), config)
    for row in trained:
        said = {
            key: judge.alignment(row["question"], row[key][0]["content"])
            for key in ("completion", "chosen", "rejected")
        }
        other = {"safe": "unsafe", "unsafe": "safe"}[row["label"]]
        assert said == {"completion": row["label"], "chosen": row["label"], "rejected": other}
    assert trained["completion"] == trained["chosen"]


# --- near-duplicates --------------------------------------------------------------------------------------------------


def picture(number: int, size: int = 32) -> Image.Image:
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    return coarse.resize((size, size), Image.Resampling.BICUBIC)


def test_a_hash_outlives_scaling_and_tells_pictures_apart() -> None:
    one = difference_hash(picture(0))
    assert (one ^ difference_hash(picture(0, size=80))).bit_count() <= 4
    assert (one ^ difference_hash(picture(1))).bit_count() > 16


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20), st.integers(0, 64))
def test_groups_are_chains_of_near_hashes(hashes: list[int], bits: int) -> None:
    hashes += [hashes[0], hashes[0] ^ 1]
    group = groups(hashes, bits).tolist()
    for i, one in enumerate(hashes):
        for j, other in enumerate(hashes):
            if (one ^ other).bit_count() <= bits:
                assert group[i] == group[j]
    if bits == 0:
        assert len(set(group)) == len(set(hashes))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=1))
def test_groups_stay_together_where_most_of_them_are(images: list[tuple[bool, int]]) -> None:
    sides_of = keep_together([train for train, _ in images], [number for _, number in images])
    for number in {number for _, number in images}:
        votes = [train for train, of in images if of == number]
        found = {side for side, (_, of) in zip(sides_of, images, strict=True) if of == number}
        assert found == {2 * sum(votes) >= len(votes)}


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A made-up UnsafeConcepts of coloured noise, in which some images are alike, and safe images beside it."""
    folder = tmp_path_factory.mktemp("copies")
    names = [concept for concept in CONCEPTS for _ in range(concept.images)]
    # All images of the first concept are alike, and one of the last concept is one of the first safe ones.
    pictures = [picture(0 if row < names[0].images else row) for row in range(len(names))]
    pictures[-1] = picture(90_000)
    features = datasets.Features(
        image=datasets.Image(), category=datasets.Value("string"), unsafe_concept=datasets.Value("string")
    )
    columns: dict[str, Any] = {"image": pictures, "category": [each.category for each in names]}
    columns["unsafe_concept"] = [each.name for each in names]
    datasets.Dataset.from_dict(columns, features=features).to_parquet(folder / "unsafe.parquet")
    safe = {"image": [picture(90_000 + at) for at in range(1900)], "concept": [f"class {at}" for at in range(1900)]}
    safe_features = datasets.Features(image=datasets.Image(), concept=datasets.Value("string"))
    datasets.Dataset.from_dict(safe, features=safe_features).to_parquet(folder / "safe.parquet")
    return folder / "unsafe.parquet", folder / "safe.parquet"


@pytest.fixture
def gated(copies: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UNSAFECONCEPTS_PATH", str(copies[0]))
    monkeypatch.setenv("UNSAFECONCEPTS_SAFE_PATH", str(copies[1]))
    monkeypatch.setenv("UNSAFECONCEPTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))


def test_unsafeconcepts_rows_and_sides(gated: None) -> None:
    config = DataConfig(source="unsafeconcepts")
    both = sides(config)
    first = CONCEPTS[0]
    alike = [
        row for row, concept in zip(both.train["row"], both.train["concept"], strict=True) if concept == first.name
    ]
    assert len(alike) == first.images, "images that are alike were parted"
    assert first.name not in both.test["concept"]
    together = set(both.train["row"]) >= {1566, 1567} or not set(both.train["row"]) & {1566, 1567}
    assert together, "an unsafe image was parted from the safe one that it is alike to"
    assert len(both.train) + len(both.test) == 2 * 1567
    assert both.moved >= first.images - first.images * 8 // 10
    rows = training_rows(config)
    assert sorted(rows["row"]) == sorted(both.train["row"])
    assert not set(rows["row"]) & set(test_rows(config)["row"])
    assert abs(rows["label"].count("safe") - rows["label"].count("unsafe")) < 20
    assert fingerprint(rows) == fingerprint(training_rows(config))
    shown = describe(config)
    assert f"{both.moved} of them moved to their near-duplicates" in shown and fingerprint(rows) in shown


def test_without_near_duplicates_the_sides_are_the_papers(gated: None) -> None:
    """With a distance of 0, only images that look exactly alike move."""
    both = sides(DataConfig(source="unsafeconcepts", duplicate_bits=0))
    assert len(both.train) - both.moved <= 2 * 1222 <= len(both.train) + both.moved


def test_safe_images_that_cannot_be_had(gated: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from harness_ext.benchmark.sources.safe_images import load_safe_images

    load_safe_images.cache_clear()
    for path, message in ((tmp_path / "nothing", "holds no parquet file"), (None, "cannot be had")):
        if path is None:
            monkeypatch.delenv("UNSAFECONCEPTS_SAFE_PATH")
            monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        else:
            path.mkdir()
            monkeypatch.setenv("UNSAFECONCEPTS_SAFE_PATH", str(path))
        with pytest.raises(SourceError, match=message):
            load_safe_images()
    load_safe_images.cache_clear()


def test_glyphworlds_description(rows: datasets.Dataset) -> None:
    shown = describe(DataConfig(renders=2))
    assert "glyphworld, a stand-in and not the benchmark" in shown
    assert "rows: 240 (120 safe, 120 unsafe), of 120 concepts, 2 to 2 of each" in shown
    assert fingerprint(rows) in shown
