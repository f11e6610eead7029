import json
import os
import time

import datasets
import pytest
from hub_stub import png, rows

from harness_ext.common.errors import SourceError
from harness_ext.common.files import cache_dir
from harness_ext.sources import prepared
from harness_ext.sources.prepared import check_images, files_behind
from harness_ext.unsafeconcepts.load import check_rows
from harness_ext.unsafeconcepts.taxonomy import CONCEPTS

NAMES = [row["unsafe_concept"] for row in rows()]
CATEGORIES = [row["category"] for row in rows()]


def test_the_authors_rows_are_the_taxonomys(authors_metadata):
    published = [json.loads(line) for line in authors_metadata.read_text().splitlines()]
    check_rows([row["unsafe_concept"] for row in published], [row["category"] for row in published], "theirs")


def misspell(names, _):
    names[100] = names[100][:-1] + "x"


def number(names, _):
    names[3] = None


def another_category(_, categories):
    categories[1566] = CONCEPTS[0].category


def drop(names, categories):
    del names[0], categories[0]


def repeat(names, categories):
    names.append(names[-1])
    categories.append(categories[-1])


def replace(names, categories):
    names[0], categories[0] = names[20], categories[20]


def empty(names, categories):
    names.clear()
    categories.clear()


def swap(names, categories):
    names[0], names[1566] = names[1566], names[0]
    categories[0], categories[1566] = categories[1566], categories[0]


@pytest.mark.parametrize(
    ("change", "rows", "row"),
    [
        (misspell, 1567, 100),
        (number, 1567, 3),
        (another_category, 1567, 1566),
        (drop, 1566, CONCEPTS[0].images - 1),
        (repeat, 1568, 1567),
        (replace, 1567, 0),
        (empty, 0, 0),
        (swap, 1567, 0),
    ],
)
def test_the_first_row_that_is_not_as_published_is_named(change, rows, row):
    names, categories = list(NAMES), list(CATEGORIES)
    change(names, categories)
    with pytest.raises(SourceError) as caught:
        check_rows(names, categories, "copy")
    expected, found = (
        (names_of[row], categories_of[row]) if row < len(names_of) else "no row"
        for names_of, categories_of in ((NAMES, CATEGORIES), (names, categories))
    )
    said = f"in their published order, found {rows}; row {row}: expected {expected}, found {found}"
    assert str(caught.value).endswith(said)


# --- images -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for row in range(12):
        (images / f"{row}.png").write_bytes(png(row))
    return images


def dataset_of(folder) -> datasets.Dataset:
    paths = [str(folder / f"{row}.png") for row in range(12)]
    return datasets.Dataset.from_dict({"image": paths}).cast_column("image", datasets.Image())


def remembered() -> list[str]:
    return sorted(path.name for path in (cache_dir() / "images-checked").glob("*"))


def test_unreadable_images_are_named_by_row_and_nothing_is_remembered(folder):
    (folder / "5.png").write_bytes(png(5)[:-40])
    (folder / "9.png").write_bytes(b"no image")
    with pytest.raises(SourceError, match="copy: rows 5, 9 cannot be read; row 5: the image cannot be read"):
        check_images(dataset_of(folder), "copy")
    assert remembered() == []


def test_many_unreadable_images_are_cut_short(folder):
    for path in folder.iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(SourceError, match="copy: rows 0, 1, 2, 3, 4 and 7 more cannot be read"):
        check_images(dataset_of(folder), "copy")


def test_success_is_remembered_until_a_file_changes(folder):
    check_images(dataset_of(folder), "copy")
    assert len(remembered()) == 1
    # The same size and time of change: what is remembered is believed, and no image is opened.
    target = folder / "5.png"
    before = target.stat()
    target.write_bytes(b"x" * before.st_size)
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    check_images(dataset_of(folder), "copy")
    # Touched, it is looked at again.
    os.utime(target, ns=(time.time_ns(), time.time_ns()))
    with pytest.raises(SourceError, match="row 5 cannot be read"):
        check_images(dataset_of(folder), "copy")


def test_a_cache_that_cannot_be_written_is_named(folder):
    (cache_dir() / "images-checked.lock").mkdir()
    with pytest.raises(SourceError, match=r"images-checked.lock cannot be written .*\nSet UNSAFECONCEPTS_CACHE to"):
        check_images(dataset_of(folder), "copy")


def test_a_stricter_check_forgets_what_was_remembered(folder, monkeypatch):
    check_images(dataset_of(folder), "copy")
    monkeypatch.setattr(prepared, "_CHECK_VERSION", -1)
    check_images(dataset_of(folder), "copy")
    assert len(remembered()) == 2


def test_files_behind_are_the_arrow_files_and_the_images_that_rows_point_to(folder, tmp_path):
    pointing = dataset_of(folder)
    assert files_behind(pointing) == sorted(folder.iterdir())
    pointing.save_to_disk(str(tmp_path / "saved"))  # takes the images in
    saved = datasets.load_from_disk(str(tmp_path / "saved"))
    assert [path.suffix for path in files_behind(saved)] == [".arrow"]


def test_images_in_memory_are_checked_every_time():
    in_memory = datasets.Dataset.from_dict({"image": [{"bytes": png(0), "path": None}]}).cast_column(
        "image", datasets.Image()
    )
    assert files_behind(in_memory) == []
    check_images(in_memory, "copy")
    assert remembered() == []
