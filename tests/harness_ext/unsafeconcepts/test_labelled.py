"""SMID and the NSFW data set from local copies and the hub: references followed, and whatever is damaged named."""

import io
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
from hub_stub import COMMIT, GRANTED, UNGRANTED, HubStub
from hypothesis import given
from hypothesis import strategies as st
from labelled_copies import FEATURES, colour, columns, write

from harness_ext.common.errors import SourceError
from harness_ext.unsafeconcepts.labelled import shown_rows
from harness_ext.unsafeconcepts.load import load_set
from harness_ext.unsafeconcepts.sets import check_access


@pytest.fixture
def smid(tmp_path, monkeypatch):
    """A function that writes a copy of SMID and makes it the one that is read."""
    written = []

    def copy(values, features=FEATURES):
        path = write(tmp_path / f"{len(written)}.parquet", values, features)
        written.append(path)
        monkeypatch.setenv("UNSAFECONCEPTS_SMID_PATH", str(path))
        return path

    return copy


def test_rows_have_their_labels_and_their_own_images(smid):
    path = smid(columns())
    rows, name = load_set("smid")
    assert name == str(path)
    assert rows["row"][:] == list(range(8)) and rows["label"][:] == ["unsafe", "safe"] * 4
    assert set(rows["category"]) == {"SMID"}
    assert rows["concept"][:] == [f"SMID image {row}" for row in range(8)]
    assert [image.getpixel((0, 0)) for image in rows["image"]] == [colour(row) for row in range(8)]


def test_a_rows_number_stands_for_its_image_over_any_number_of_steps(smid):
    smid(columns(references={2: 0, 5: 2, 6: 7}))
    rows, _ = load_set("smid")
    shown = [0, 1, 0, 3, 4, 0, 7, 7]
    assert [image.getpixel((0, 0)) for image in rows["image"]] == [colour(row) for row in shown]
    # Intervals resample images: one that is shown in several rows is one.
    assert rows["concept"][:] == [f"SMID image {row}" for row in shown]
    assert rows["label"][:] == ["unsafe", "safe"] * 4


@given(st.lists(st.one_of(st.none(), st.integers(0, 14)), min_size=1, max_size=15))
def test_references_lead_to_an_image_or_are_refused(references):
    def follow(row):
        """The image's row, or None, by an argument of its own: a way longer than there are rows is a circle."""
        for _ in references:
            if row >= len(references):
                return None
            if references[row] is None:
                return row
            row = references[row]
        return None

    expected = [follow(row) for row in range(len(references))]
    if None in expected:
        with pytest.raises(SourceError, match="refers"):
            shown_rows(references, "copy")
    else:
        assert shown_rows(references, "copy") == expected


@pytest.mark.parametrize(
    ("references", "message"),
    [
        ({3: 8}, "row 3: refers to row 8 for its image; the last row is 7"),
        ({1: 3, 3: 99999999999999999}, "row 3: refers to row 99999999999999999"),
        ({4: 4}, "row 4: its image refers in a circle, 4 -> 4"),
        ({1: 2, 2: 5, 5: 1}, "row 1: its image refers in a circle, 1 -> 2 -> 5 -> 1"),
        ({3: "-1"}, "row 3: expected an image in base64 or a row's number"),
        ({3: "1.0"}, "row 3: expected an image in base64 or a row's number"),
        ({3: ""}, r"row 3 cannot be read; row 3: the image cannot be read"),
        ({3: "aGFybWxlc3M="}, r"row 3 cannot be read; row 3: the image cannot be read"),
        ({3: "not base64 at all"}, "row 3: expected an image in base64 or a row's number .*17 characters"),
    ],
)
def test_an_image_that_cannot_be_had_names_its_row(smid, references, message):
    smid(columns(references=references))
    with pytest.raises(SourceError, match=message):
        load_set("smid")


def test_base64_that_was_cut_off_names_its_row(smid):
    values = columns(references={6: 4})
    values["image"][4] = values["image"][4][:-30]
    smid(values)
    with pytest.raises(SourceError, match=r"row 4|rows 4, 6"):
        load_set("smid")


def _labelled(label):
    return lambda values: values["label"].__setitem__(5, label)


def _in_another_order(values):
    values["index"][2], values["index"][3] = 3, 2


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_labelled("safe"), "row 5: expected the label 'Safe' or 'Unsafe', found 'safe'"),
        (_labelled(None), "row 5: expected the label 'Safe' or 'Unsafe', found None"),
        (_in_another_order, "row 2: expected the row's number under 'index', found 3"),
        (lambda values: values["image"].__setitem__(5, None), "row 5: no image"),
    ],
    ids=["label", "no label", "order", "no image"],
)
def test_a_row_that_is_not_as_published_is_named(smid, spoil, message):
    values = columns()
    spoil(values)
    smid(values)
    with pytest.raises(SourceError, match=message):
        load_set("smid")


def test_columns_that_are_not_the_published_ones_are_named(smid):
    smid({"index": [0], "label": ["Safe"]}, None)
    with pytest.raises(SourceError, match="missing column image; found index, label"):
        load_set("smid")
    smid({**columns(2), "image": [1, 0]}, None)
    with pytest.raises(SourceError, match=r"expected text under 'image' \(base64, or a row's number\), found int64"):
        load_set("smid")


def test_another_layout_and_another_set(tmp_path, monkeypatch):
    folder = tmp_path / "saved"
    datasets.DatasetDict({"train": datasets.Dataset.from_dict(columns(3))}).save_to_disk(folder)
    before = sorted(folder.rglob("*"))
    monkeypatch.setenv("UNSAFECONCEPTS_NSFW_PATH", str(folder))
    rows, _ = load_set("nsfw")
    assert rows["concept"][:] == [f"NSFW image {row}" for row in range(3)]
    assert sorted(folder.rglob("*")) == before, "nothing is written into the user's copy"


@pytest.mark.parametrize(
    ("place", "found"), [("nowhere", "does not exist"), ("", "holds none of the layouts that can be read")]
)
def test_a_copy_that_is_not_one_is_said(tmp_path, monkeypatch, place, found):
    monkeypatch.setenv("UNSAFECONCEPTS_NSFW_PATH", str(tmp_path / place))
    with pytest.raises(SourceError) as caught:
        check_access("nsfw")
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"UNSAFECONCEPTS_NSFW_PATH names {tmp_path / place}".rstrip("/")) and found in first
    assert "columns image, index, label" in second


def test_a_folder_of_images_is_no_copy_of_it(tmp_path, monkeypatch):
    (tmp_path / "metadata.jsonl").write_text("{}")
    monkeypatch.setenv("UNSAFECONCEPTS_SMID_PATH", str(tmp_path))
    with pytest.raises(SourceError, match="which is a folder of images"):
        load_set("smid")


# --- the hub ----------------------------------------------------------------------------------------------------------

LOAD = """
import sys
from harness_ext.common.errors import SourceError
from harness_ext.unsafeconcepts.load import load_set
try:
    rows, name = load_set("smid")
    print(name, rows["label"][:], rows[0]["image"].getpixel((0, 0)))
except SourceError as error:
    print(error)
    sys.exit(3)
"""


def hub(**mode):
    buffer = io.BytesIO()
    datasets.Dataset.from_dict(columns(4), features=FEATURES).to_parquet(buffer)
    files = {".gitattributes": b"", "README.md": b"---\n---\n", "data/train-00000-of-00001.parquet": buffer.getvalue()}
    return HubStub(files, **{"repo": "yiting/SMID", **mode})


def load(environment, folder):
    environment = environment | {"PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", LOAD]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=600)


def test_the_hubs_copy_is_downloaded_and_serves_offline(tmp_path):
    loaded = f"yiting/SMID@{COMMIT} ['unsafe', 'safe', 'unsafe', 'safe'] {colour(0)}\n"
    with hub() as stub:
        result = load(stub.environment(tmp_path, GRANTED), tmp_path)
        assert result.stdout == loaded, result.stderr
    with hub() as stub:
        assert load(stub.environment(tmp_path, HF_HUB_OFFLINE="1"), tmp_path).stdout == loaded
        assert stub.requests == []


@pytest.mark.parametrize(
    ("token", "settings", "problem"),
    [
        (None, {}, "yiting/SMID is gated, and you are not logged in to Hugging Face."),
        (
            UNGRANTED,
            {},
            "yiting/SMID is gated, and the account of your Hugging Face token has not been granted access.",
        ),
        (GRANTED, {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set, and yiting/SMID is not complete in the cache"),
    ],
    ids=["not logged in", "not granted", "offline"],
)
def test_without_access_two_lines(tmp_path, token, settings, problem):
    with hub() as stub:
        result = load(stub.environment(tmp_path, token, **settings), tmp_path)
    assert result.returncode == 3, result.stderr
    first, second = result.stdout.splitlines()
    assert first.startswith(problem) and "https://huggingface.co/datasets/yiting/SMID" in first
    assert second.startswith("Or set UNSAFECONCEPTS_SMID_PATH to a local copy")
