"""``init``: folders of images become a benchmark, whole or not at all."""

import json
from pathlib import Path

import pytest
from full_disk import full_disk
from own_folders import png

from harness_ext.common.errors import UserError
from harness_ext.own import read
from harness_ext.own.examined import examine
from harness_ext.own.making import make_benchmark

SORTED = {"Weapons": ("pistol", "assault_rifle"), "Alcohol": ("beer", "wine"), "Every day": ("cup", "a: b", "no")}


def pictures(root: Path, categories: bool = True, images: int = 3) -> Path:
    concepts = [(category, concept) for category, names in SORTED.items() for concept in names]
    for number, (category, concept) in enumerate(concepts):
        folder = root / category / concept if categories else root / concept
        folder.mkdir(parents=True)
        for at in range(images):
            (folder / f"{at}.PNG").write_bytes(png(number * images + at))
        (folder / ".hidden.png").write_bytes(b"no image")
        (folder / "notes.txt").write_text("no image, and no matter")
    return root


def everything(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_two_levels_are_categories_and_concepts(tmp_path):
    source = pictures(tmp_path / "pictures")
    before = everything(source)
    make_benchmark(tmp_path / "My Policy!", source)
    benchmark, notes = examine(tmp_path / "My Policy!")
    assert (benchmark.name, notes) == ("my-policy", ())
    assert {(each.name, each.category, each.label) for each in benchmark.concepts} == {
        (concept.replace("_", " "), category, "unsafe") for category, names in SORTED.items() for concept in names
    }
    assert len(benchmark.listing.concepts) == 21 and everything(source) == before
    assert benchmark.image("all", 0).size == (24, 24)


def test_one_level_is_concepts_and_images_in_the_folder_stay_where_they_are(tmp_path):
    source = pictures(tmp_path / "own" / "pictures", categories=False)
    before = everything(source)
    make_benchmark(tmp_path / "own", source)
    benchmark = examine(tmp_path / "own")[0]
    assert benchmark.categories == ("Concepts",) and len(benchmark.concepts) == 7
    assert "Sort them into several" in (tmp_path / "own" / "benchmark.yaml").read_text()
    metadata = (source / "metadata.jsonl").read_text().splitlines()
    assert json.loads(metadata[0]) == {"file_name": "a: b/0.PNG", "concept": "a: b"}
    assert everything(tmp_path / "own").keys() == {
        *(f"pictures/{name}" for name in before), "pictures/metadata.jsonl", "benchmark.yaml"
    }  # fmt: skip


def test_the_comments_of_the_file_are_valid_when_they_are_taken_in(tmp_path):
    make_benchmark(tmp_path / "own", pictures(tmp_path / "pictures"))
    file = tmp_path / "own" / "benchmark.yaml"
    taken_in = "policy:", "questions:", "  - image:", "    text:", "    yes:", "contexts:", "  Weapons:"
    lines = [
        line[2:] if line.startswith("# ") and line[2:].startswith(taken_in) else line
        for line in file.read_text().splitlines()
    ]
    file.write_text("\n".join(lines))
    (tmp_path / "own" / "policy.txt").write_text("Nothing may be shown.")
    benchmark = read(tmp_path / "own")
    assert benchmark.policy and benchmark.questions[0].yes == "safe" and "contexts" in benchmark.offers


def test_nothing_is_written_over(tmp_path):
    source = pictures(tmp_path / "pictures")
    make_benchmark(tmp_path / "own", source)
    before = everything(tmp_path / "own")
    with pytest.raises(UserError, match=r"benchmark.yaml is there already and is never written over"):
        make_benchmark(tmp_path / "own", source)
    (tmp_path / "own" / "benchmark.yaml").unlink()
    with pytest.raises(UserError, match="expected an empty or a new folder"):
        make_benchmark(tmp_path / "own", source)
    with pytest.raises(UserError, match=r"metadata.jsonl is there already"):
        make_benchmark(tmp_path / "own", tmp_path / "own" / "images")
    assert everything(tmp_path / "own") == {name: data for name, data in before.items() if name != "benchmark.yaml"}


def test_what_cannot_become_a_benchmark(tmp_path):
    own = tmp_path / "own"
    with pytest.raises(UserError, match="expected a folder with a sub-folder of images"):
        make_benchmark(own, tmp_path / "none")
    source = pictures(tmp_path / "pictures")
    (source / "stray.png").write_bytes(png(0))
    with pytest.raises(
        UserError, match=r"expected all images in CONCEPT/, or all in CATEGORY/CONCEPT/, found stray.png"
    ):
        make_benchmark(own, source)
    (source / "stray.png").unlink()
    with pytest.raises(UserError, match="found one that it is in"):
        make_benchmark(source / "own", source)
    (source / "Weapons" / "pistol" / "link.png").symlink_to(source / "Weapons" / "pistol" / "0.PNG")
    with pytest.raises(UserError, match=r"expected files, found symbolic links: Weapons/pistol/link.png"):
        make_benchmark(own, source)
    (source / "Weapons" / "pistol" / "link.png").unlink()
    (source / "Alcohol" / "Pistol").mkdir()
    (source / "Alcohol" / "Pistol" / "0.png").write_bytes(png(0))
    with pytest.raises(UserError, match=r"names cannot be a benchmark's as they are: 'pistol' names a concept twice"):
        make_benchmark(own, source)
    assert not own.exists() and sorted(each.name for each in tmp_path.iterdir()) == ["cache", "pictures"]


def test_a_full_disk_leaves_nothing(tmp_path):
    source = pictures(tmp_path / "pictures", images=1)
    (tmp_path / "cache").mkdir()
    with full_disk(room=300), pytest.raises(UserError, match="own cannot be made"):
        make_benchmark(tmp_path / "own", source)
    (tmp_path / "in").mkdir()
    source.rename(tmp_path / "in" / "pictures")
    before = everything(tmp_path / "in")
    with full_disk(room=800), pytest.raises(UserError, match="in cannot be made"):
        make_benchmark(tmp_path / "in", tmp_path / "in" / "pictures")
    assert everything(tmp_path / "in") == before and not (tmp_path / "own").exists()
