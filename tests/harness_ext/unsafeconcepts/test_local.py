import csv
import json
import shutil

import datasets
import pyarrow.parquet as pq
import pytest
from hub_stub import png, rows, table
from PIL import ImageFile

from harness_ext.common.errors import SourceError
from harness_ext.sources.images import to_rgb
from harness_ext.unsafeconcepts.load import load_set
from harness_ext.unsafeconcepts.sets import check_access
from harness_ext.unsafeconcepts.taxonomy import CATEGORY_OF, CONCEPTS

NUM_ROWS = 1567


def parquet_file(folder):
    pq.write_table(table(), folder / "all.parquet")
    return folder / "all.parquet"


def parquet_folder(folder):
    pq.write_table(table(), folder / "0.parquet")
    return folder


def hub_download(folder):
    """What `hf download --local-dir` leaves: shards in a folder of their own, and its bookkeeping."""
    (folder / "data").mkdir()
    (folder / ".cache").mkdir()
    for shard, (start, stop) in enumerate(((0, 500), (500, 1400), (1400, None))):
        pq.write_table(table(start, stop), folder / "data" / f"train-{shard:05d}-of-00003.parquet")
    shutil.copy(folder / "data" / "train-00000-of-00003.parquet", folder / ".cache" / "partial.parquet")
    (folder / "README.md").write_text("# A card\n")
    return folder


def parquet_of_bytes(folder):
    """Images as plain bytes, without the struct of the hub's."""
    columns = table()
    plain = columns.set_column(0, "image", columns["image"].combine_chunks().field("bytes"))
    pq.write_table(plain, folder / "plain.parquet")
    return folder / "plain.parquet"


def _saved() -> datasets.Dataset:
    return datasets.Dataset(table()).cast_column("image", datasets.Image())


def saved_dataset(folder):
    _saved().save_to_disk(str(folder / "saved"))
    return folder / "saved"


def saved_dict(folder):
    datasets.DatasetDict(train=_saved()).save_to_disk(str(folder / "saved"))
    return folder / "saved"


def _image_files(folder, key):
    (folder / "images").mkdir()
    for row in range(NUM_ROWS):
        (folder / "images" / f"{row}.png").write_bytes(png(row))
    return [{key: f"images/{row}.png", **values} for row, values in enumerate(rows())]


def _write_jsonl(folder, metadata):
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in metadata))
    return folder


def imagefolder(folder):
    return _write_jsonl(folder, _image_files(folder, "file_name"))


def authors_folder(folder):
    return _write_jsonl(folder, _image_files(folder, "image_filename"))


def imagefolder_csv(folder):
    metadata = _image_files(folder, "file_name")
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, metadata[0])
        writer.writeheader()
        writer.writerows(metadata)
    return folder


LAYOUTS = [
    parquet_file,
    parquet_folder,
    hub_download,
    parquet_of_bytes,
    saved_dataset,
    saved_dict,
    imagefolder,
    authors_folder,
    imagefolder_csv,
]


@pytest.fixture
def named(tmp_path, monkeypatch):
    """A function that makes a local copy and names it; returns its path."""

    def make(layout):
        folder = tmp_path / "copy"
        folder.mkdir()
        path = layout(folder)
        monkeypatch.setenv("UNSAFECONCEPTS_PATH", str(path))
        return path

    return make


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_every_layout_gives_the_same_rows_in_the_same_order(named, layout):
    path = named(layout)
    check_access("images")
    dataset, described = load_set("images")
    assert described == str(path)
    assert set(dataset.column_names) == {"image", "row", "concept", "category", "label"}
    assert dataset.features["image"] == datasets.Image()
    assert dataset["row"][:] == list(range(NUM_ROWS))
    assert dataset["concept"][:] == [concept.name for concept in CONCEPTS for _ in range(concept.images)]
    assert all(CATEGORY_OF[row["concept"]] == row["category"] for row in dataset.remove_columns("image"))
    assert set(dataset["label"][:]) == {"unsafe"}
    for row in (0, 9, 10, 256, 1000, 1566):  # the colour names the row
        assert to_rgb(dataset[row]["image"], row).getpixel((5, 5)) == (row // 256, row % 256, 128)


def test_a_copy_is_loaded_once(named):
    named(parquet_file)
    assert load_set("images") is load_set("images")


def nothing(folder):
    return folder / "absent"


def empty(folder):
    return folder


def two_layouts(folder):
    (folder / "metadata.jsonl").touch()
    (folder / "0.parquet").touch()
    return folder


def another_file(folder):
    (folder / "rows.json").touch()
    return folder / "rows.json"


@pytest.mark.parametrize(
    ("layout", "problem"),
    [
        (nothing, "absent, which does not exist"),
        (empty, "which holds none of the layouts that can be read"),
        (two_layouts, "which holds images and parquet"),
        (another_file, "which holds none of the layouts that can be read"),
    ],
)
def test_what_is_no_copy_is_refused_before_it_is_loaded(named, layout, problem):
    named(layout)
    with pytest.raises(SourceError, match=problem) as caught:
        check_access("images")
    assert str(caught.value).splitlines()[1].startswith("Expected a parquet file, a folder of parquet files")


def without_train(folder):
    datasets.DatasetDict(test=datasets.Dataset.from_dict({"a": [1]})).save_to_disk(str(folder / "saved"))
    return folder / "saved"


def damaged_parquet(folder):
    whole = parquet_file(folder)
    whole.write_bytes(whole.read_bytes()[:-100])
    return whole


def damaged_save(folder):
    path = saved_dataset(folder)
    (path / "dataset_info.json").unlink()
    return path


def column_missing(folder):
    pq.write_table(table(0, 10).drop_columns("category"), folder / "0.parquet")
    return folder


def half(folder):
    pq.write_table(table(0, 800), folder / "0.parquet")
    return folder


def not_json(folder):
    (folder / "metadata.jsonl").write_text("{}\n{'single': 'quotes'}\n")
    return folder


def not_an_object(folder):
    return _write_jsonl(folder, ["text"])


def key_missing(folder):
    metadata = _image_files(folder, "file_name")
    del metadata[4]["category"]
    return _write_jsonl(folder, metadata)


def name_missing(folder):
    return _write_jsonl(folder, _image_files(folder, "path"))


def image_missing(folder):
    path = authors_folder(folder)
    (folder / "images" / "77.png").unlink()
    return path


def _spoilt_name(folder, name):
    metadata = _image_files(folder, "file_name")
    metadata[77]["file_name"] = name
    return _write_jsonl(folder, metadata)


def image_above(folder):
    (folder.parent / "mine.png").write_bytes(png(77))
    return _spoilt_name(folder, "../mine.png")


def image_anywhere(folder):
    (folder.parent / "mine.png").write_bytes(png(77))
    return _spoilt_name(folder, str(folder.parent / "mine.png"))


def image_behind_a_link(folder):
    path = imagefolder(folder)
    (folder / "images" / "77.png").rename(folder.parent / "mine.png")
    (folder / "images" / "77.png").symlink_to(folder.parent / "mine.png")
    return path


def images_named_in_parquet(folder):
    (folder.parent / "mine.png").write_bytes(png(77))
    columns = table()
    images = columns["image"].to_pylist()
    images[77] = {"bytes": None, "path": str(folder.parent / "mine.png")}
    at = columns.column_names.index("image")
    pq.write_table(columns.set_column(at, "image", [images]), folder / "all.parquet")
    return folder / "all.parquet"


def images_named_in_texts(folder):
    (folder.parent / "mine.png").write_bytes(png(77))
    columns = table()
    at = columns.column_names.index("image")
    named = [[str(folder.parent / "mine.png")] * NUM_ROWS]
    pq.write_table(columns.set_column(at, "image", named), folder / "all.parquet")
    return folder / "all.parquet"


def rows_behind_a_link(folder):
    pq.write_table(table(), folder.parent / "mine.parquet")
    (folder / "all.parquet").symlink_to(folder.parent / "mine.parquet")
    return folder


def saved_rows_elsewhere(folder):
    saved = saved_dataset(folder)
    (arrow,) = saved.glob("*.arrow")
    arrow.rename(folder / arrow.name)
    state = json.loads((saved / "state.json").read_text())
    state["_data_files"] = [{"filename": f"../{arrow.name}"}]
    (saved / "state.json").write_text(json.dumps(state))
    return saved


def image_of_a_format_that_is_handed_on(folder):
    path = imagefolder(folder)
    (folder / "images" / "77.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n")
    return path


def image_truncated(folder):
    path = authors_folder(folder)
    (folder / "images" / "77.png").write_bytes(png(77)[:-30])
    return path


@pytest.mark.parametrize(
    ("layout", "problem"),
    [
        (without_train, "has no split train, only test"),
        (damaged_parquet, "all.parquet cannot be read: "),
        (damaged_save, "saved cannot be read: FileNotFoundError"),
        (column_missing, "missing column category; found image, unsafe_concept"),
        (half, "expected the 1567 rows .*, found 800; row 800: expected .*, found no row"),
        (not_json, "cannot be read: .*JSON"),
        (not_an_object, "cannot be read: .*"),
        (
            key_missing,
            "metadata.jsonl, row 4: expected texts under .*category, unsafe_concept, found .*'category': None",
        ),
        (name_missing, "row 0: expected texts under file_name or image_filename, .*, found {'file_name': None, "),
        (image_missing, r"metadata.jsonl, row 77: the image .*images/77.png does not exist"),
        (image_truncated, "row 77 cannot be read"),
        (image_above, "row 77: the image .*mine.png' is not within the folder"),
        (image_anywhere, "row 77: the image .*mine.png' is not within the folder"),
        (image_behind_a_link, "row 77: the image .*77.png' is not within the folder"),
        (images_named_in_parquet, "row 77: the image .*mine.png' is not within the folder"),
        (images_named_in_texts, "row 0: the image .*mine.png' is not within the folder"),
        (rows_behind_a_link, "whose all.parquet is a symbolic link out of it"),
        (saved_rows_elsewhere, "saved: its rows lie outside of the folder"),
        (image_of_a_format_that_is_handed_on, "row 77 .*expected a file of BMP, GIF, JPEG, PNG, TIFF, WEBP"),
    ],
)
def test_a_copy_that_is_not_the_dataset_is_refused(named, monkeypatch, layout, problem):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as lmms_eval.api.task does
    named(layout)
    with pytest.raises(SourceError, match=problem) as caught:
        load_set("images")
    assert len(str(caught.value).splitlines()) <= 2
