"""The safe images: local copies in-process; the hub through the real client libraries, in subprocesses."""

import io
import json
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_stub import COMMIT, GRANTED, HubStub
from PIL import Image

from harness_ext.common.errors import SourceError
from harness_ext.unsafeconcepts import load as loading
from harness_ext.unsafeconcepts.load import load_set
from harness_ext.unsafeconcepts.sets import check_access

REPO = "yiting/imagenet_1k_unique_class"
ABSENT = f"and {REPO} is not complete in the cache"
CLASSES = [f"class {row}" for row in range(12)]


@pytest.fixture(autouse=True)
def as_many_as_here(monkeypatch):
    monkeypatch.setattr(loading, "NUM_SAFE_IMAGES", len(CLASSES))


def jpeg(row):
    file = io.BytesIO()
    Image.fromarray(np.full((9, 9, 3), 20 * row, np.uint8)).save(file, "JPEG")
    return file.getvalue()


def table(start=0, stop=12, **more):
    images = [{"bytes": jpeg(row), "path": None} for row in range(start, stop)]
    columns = pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    return pa.table({"image": columns, "concept": CLASSES[start:stop], **more})


def parquet_file(folder):
    pq.write_table(table(), folder / "all.parquet")
    return folder / "all.parquet"


def parquet_folder(folder):
    (folder / ".cache").mkdir()
    pq.write_table(table(0, 5), folder / "0.parquet")
    pq.write_table(table(5), folder / "1.parquet")
    pq.write_table(table(0, 5), folder / ".cache" / "partial.parquet")
    return folder


def other_columns_too(folder):
    pq.write_table(table(id=list(range(len(CLASSES)))), folder / "0.parquet")
    return folder


def saved_dict(folder):
    rows = datasets.Dataset(table()).cast_column("image", datasets.Image())
    datasets.DatasetDict(train=rows).save_to_disk(str(folder / "saved"))
    return folder / "saved"


def _listed(folder):
    (folder / "images").mkdir()
    # Names whose order is not that of the rows.
    files = [f"images/{(7 * row) % 12}.jpeg" for row in range(len(CLASSES))]
    for row, name in enumerate(files):
        (folder / name).write_bytes(jpeg(row))
    return [{"file_name": name, "concept": concept} for name, concept in zip(files, CLASSES, strict=True)]


def image_folder(folder, change=lambda listed: listed):
    lines = "".join(json.dumps(row) + "\n" for row in change(_listed(folder)))
    (folder / "metadata.jsonl").write_text(lines)
    return folder


def image_folder_csv(folder):
    lines = [",".join(row.values()) for row in _listed(folder)]
    (folder / "metadata.csv").write_text("\n".join(["file_name,concept", *lines, ""]))
    return folder


@pytest.fixture
def named(tmp_path, monkeypatch):
    def make(layout):
        (tmp_path / "copy").mkdir()
        path = layout(tmp_path / "copy")
        monkeypatch.setenv("UNSAFECONCEPTS_SAFE_PATH", str(path))
        return path

    return make


@pytest.mark.parametrize(
    "layout", [parquet_file, parquet_folder, other_columns_too, saved_dict, image_folder, image_folder_csv]
)
def test_every_layout_gives_the_same_rows_in_the_same_order(named, layout):
    path = named(layout)
    check_access("safe")
    rows, name = load_set("safe")
    assert name == str(path)
    assert set(rows.column_names) == {"image", "row", "concept", "category", "label"}
    assert rows["concept"][:] == CLASSES and set(rows["category"]) == {"ImageNet"}
    assert rows["row"][:] == [*range(1567, 1567 + len(CLASSES))] and set(rows["label"]) == {"safe"}
    assert [image.getpixel((4, 4))[0] // 20 for image in rows["image"]] == list(range(len(CLASSES)))


def nothing(folder):
    return folder / "absent"


def two_layouts(folder):
    (folder / "metadata.jsonl").touch()
    return parquet_folder(folder)


@pytest.mark.parametrize(
    ("layout", "problem"),
    [
        (nothing, "absent, which does not exist"),
        (lambda folder: folder, "which holds none of the layouts that can be read"),
        (two_layouts, "which holds images and parquet"),
    ],
)
def test_what_is_no_copy_is_refused_before_it_is_loaded(named, layout, problem):
    named(layout)
    with pytest.raises(SourceError, match=f"UNSAFECONCEPTS_SAFE_PATH names .*{problem}") as caught:
        check_access("safe")
    assert "a `save_to_disk` folder" in str(caught.value).splitlines()[1]


def damaged(folder):
    whole = parquet_file(folder)
    whole.write_bytes(whole.read_bytes()[:-100])
    return whole


def one_row_less(folder):
    pq.write_table(table(0, 11), folder / "0.parquet")
    return folder


def without_concepts(folder):
    pq.write_table(table().rename_columns(["image", "label"]), folder / "0.parquet")
    return folder


def numbers_for_names(folder):
    pq.write_table(table().set_column(1, "concept", pa.array(range(len(CLASSES)))), folder / "0.parquet")
    return folder


def truncated(folder):
    path = image_folder(folder)
    (folder / "images" / "7.jpeg").write_bytes(jpeg(1)[:-30])
    return path


def missing_image(folder):
    path = image_folder(folder)
    (folder / "images" / "7.jpeg").unlink()
    return path


def no_names(folder):
    return image_folder(folder, lambda listed: [{"file_name": row["file_name"]} for row in listed])


def one_name_missing(folder):
    return image_folder(folder, lambda listed: [*listed[:-1], {**listed[-1], "concept": None}])


def not_json(folder):
    (folder / "metadata.jsonl").write_text("{'single': 'quotes'}\n")
    return folder


@pytest.mark.parametrize(
    ("layout", "problem"),
    [
        (damaged, "all.parquet cannot be read: "),
        (one_row_less, "expected the 12 rows of yiting/imagenet_1k_unique_class, found 11"),
        (without_concepts, "missing column concept; found image, label"),
        (numbers_for_names, "row 0: expected a class's name under 'concept', found 0"),
        (truncated, "row 1 cannot be read"),
        (missing_image, "metadata.jsonl, row 1: the image .*images/7.jpeg does not exist"),
        (no_names, "metadata.jsonl, row 0: expected texts under .*, concept, found .*'concept': None"),
        (one_name_missing, "row 11: expected texts under .*, concept, found .*'concept': None"),
        (not_json, "cannot be read: .*JSON"),
    ],
)
def test_a_copy_that_is_not_the_dataset_is_refused(named, layout, problem):
    named(layout)
    with pytest.raises(SourceError, match=problem) as caught:
        load_set("safe")
    assert len(str(caught.value).splitlines()) <= 2


LOAD = """
import sys
from harness_ext.common.errors import SourceError
from harness_ext.unsafeconcepts.sets import check_access
from harness_ext.unsafeconcepts import load as loading
from harness_ext.unsafeconcepts.load import load_set
loading.NUM_SAFE_IMAGES = 12
try:
    check_access("safe")
    rows, name = load_set("safe")
except SourceError as error:
    print(error)
    sys.exit(3)
print(name, rows["concept"][:] == [f"class {row}" for row in range(12)], rows[7]["image"].getpixel((4, 4)))
"""


def hub(**mode):
    shard = io.BytesIO()
    pq.write_table(table(), shard)
    return HubStub({"data/train-00000-of-00001.parquet": shard.getvalue()}, **{"repo": REPO, **mode})


def load(environment, folder):
    environment = environment | {"PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", LOAD]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=900)


def test_the_hubs_copy_is_downloaded_once_and_serves_offline(tmp_path):
    loaded = f"{REPO}@{COMMIT} True (140, 140, 140)\n"
    with hub() as stub:  # the stub's files are behind a gate; the real ones are not
        result = load(stub.environment(tmp_path, GRANTED), tmp_path)
        assert result.stdout == loaded, result.stderr
    with hub() as stub:
        assert load(stub.environment(tmp_path), tmp_path).stdout == loaded
        assert load(stub.environment(tmp_path, HF_HUB_OFFLINE="1"), tmp_path).stdout == loaded
        assert stub.requests == []


@pytest.mark.parametrize(
    ("mode", "settings", "problem"),
    [
        ({"hangs": True}, {}, f"did not answer within 3.5 s, {ABSENT}"),
        ({"repo": "yiting/another"}, {}, f"knows no dataset {REPO}."),
        ({"status": 503}, {}, f"answers 503, {ABSENT}"),
        ({}, {"HF_ENDPOINT": "http://127.0.0.1:1"}, f"Connection refused), {ABSENT}"),
        ({}, {"HF_HUB_OFFLINE": "1"}, f"HF_HUB_OFFLINE is set, {ABSENT}"),
    ],
    ids=["slow", "no such dataset", "down", "no server", "offline"],
)
def test_what_cannot_be_had_is_said_within_seconds(tmp_path, mode, settings, problem):
    with hub(**mode) as stub:
        result = load(stub.environment(tmp_path, GRANTED, **settings), tmp_path)
    assert result.returncode == 3, result.stderr
    first, second = result.stdout.splitlines()
    assert problem in first and "hf auth login" not in first
    assert "UNSAFECONCEPTS_SAFE_PATH" in second
