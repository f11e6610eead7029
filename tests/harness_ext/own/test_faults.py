"""What is wrong in a folder: named by file and line, all of it at once."""

import json
import os
from pathlib import Path

import pytest
from own_folders import YAML, as_dataset, listed, own_folder, write_images, write_lines

from harness_ext.common.errors import SourceError
from harness_ext.own import read
from harness_ext.own.examined import examine
from harness_ext.own.problems import FaultyBenchmarkError


def faults(folder: Path, look=read) -> list[str]:
    """What is said, a line each, without the heading."""
    with pytest.raises(FaultyBenchmarkError) as refused:
        look(folder)
    heading, *lines = str(refused.value).split("\n")
    assert heading.startswith(f"{folder}: {len(lines)} thing"), heading
    return [line.strip() for line in lines]


def with_yaml(folder: Path, *changes: tuple[str, str], more: str = "") -> Path:
    text = YAML
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return own_folder(folder, text + more)


def test_everything_is_named_at_once(tmp_path):
    lines = listed()
    lines[1]["concept"] = "Dagger"
    lines[2]["label"] = "safe"
    lines[3]["label"] = "harmless"
    lines[4]["file_name"] = "../../elsewhere.png"
    lines[6]["concept"] = ""
    lines[8]["file_name"] = lines[7]["file_name"]
    lines[9]["concept"] = lines[10]["concept"] = "tank"
    lines = [line for line in lines if line["concept"] != "cup"]
    folder = own_folder(tmp_path / "own", YAML + "policy: policy.txt\ncontexts: {Beer: {safe: a, unsafe: b}}\n", [])
    write_lines(folder / "images" / "metadata.jsonl", [*lines[:12], ["no", "object"], *lines[12:]])
    (folder / "policy.txt").write_bytes("Zürich".encode("latin-1"))
    assert faults(folder) == [
        "benchmark.yaml, line 11: a concept without images; found 'cup'",
        "benchmark.yaml, line 13: contexts: there is no concept or category 'Beer'",
        "images/metadata.jsonl, line 2: the concept 'Dagger' is not in benchmark.yaml; it is another name of 'knife': "
        "write that",
        "images/metadata.jsonl, line 3: label safe contradicts benchmark.yaml, where 'pistol' is unsafe",
        "images/metadata.jsonl, line 4: label: expected safe or unsafe; found 'harmless'",
        "images/metadata.jsonl, line 5: expected a path within the folder, with '/' between its parts, "
        "found '../../elsewhere.png'",
        "images/metadata.jsonl, line 7: an image without a concept; found 'knife/1.png'",
        "images/metadata.jsonl, line 9: expected each image once; found 'knife/2.png'",
        "images/metadata.jsonl, lines 10, 11: the concept 'tank' is not in benchmark.yaml; add it there, or correct it here",
        """images/metadata.jsonl, line 13: expected {"file_name": …, "concept": …}; found '["no", "object"]'""",
        "policy.txt, line 1: is not UTF-8 (perhaps Windows-1252 or Latin-1); save it as UTF-8; found byte 0xfc",
    ]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("name: my-policy", "name: My Policy", "line 1: name: expected small letters"),
        ("name: my-policy", "name: glyphworld", "line 1: name: expected another name: there are tasks of this name"),
        ("name: my-policy", "name: unsafeconcepts_gap", "line 1: name: expected another name"),
        ("name: my-policy\n", "", "name: is missing"),
        ("title: My policy", 'title: "two\\nlines"', "line 2: title: expected text on one line"),
        ("label: safe", "label: harmless", "line 10: concepts, Everyday, label: expected unsafe or safe, found 'harmless'"),
        ("[beer, wine]", "beer, wine", "line 8: concepts, Alcohol: expected keys and values, or their short form"),
        ("[beer, wine]", "[]", "line 8: concepts, Alcohol: expected at least one"),
        ("[beer, wine]", "[beer, wine, '']", "line 8: concepts, Alcohol, 3, name: expected text on one line"),
        ("[beer, wine]", "[beer, wine, {name: ale, label: safe}]", "line 8: concepts, Alcohol, 3, label: unknown key"),
        ("[beer, wine]", "[beer, wine, Beer]", "line 8: 'Beer' names a concept twice, here and as 'beer'"),
        ("[beer, wine]", "[beer, wine, BLADE]", "line 8: 'BLADE' names a concept twice, here and as 'blade'"),
        ("[beer, wine]", "[beer, wine, drawn image 3]", "line 8: concepts, Alcohol, 3, name: expected another name"),
        ("Alcohol: [", "weapons: [", "line 8: the categories 'Weapons' and 'weapons' need names that differ"),
        ("Alcohol: [", "Safe: [", "line 8: the category 'Safe' needs another name: a metric is called so"),
        ("Alcohol: [", "Weapons: [", "line 8: 'Weapons' is there twice"),
        ("Alcohol: [", "Alcohol: &a [", ""),
        ("title: My policy", "colour: red", "line 2: colour: unknown key; allowed are name, title, concepts"),
        ("title: My policy", "title: [1", "is not YAML"),
    ],
)  # fmt: skip
def test_benchmark_yaml(tmp_path, before, after, said):
    folder = with_yaml(tmp_path / "own", (before, after))
    if said:
        assert any(said in line and line.startswith("benchmark.yaml") for line in faults(folder)), faults(folder)
    else:
        assert read(folder).name == "my-policy"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("questions: [{image: Safe?, text: 'Is {concept} safe?'}]", ["line 12: questions, 1, yes: is missing"]),
        ("questions: [{image: Safe?, text: Safe?, yes: safe}]", ["line 12: questions, 1, text: expected a question"]),
        ("questions: [{image: A?, text: '{concept}?', yes: no}]", ["line 12: questions, 1, yes: expected unsafe or safe"]),
        ("questions: [{image: A?, text: {concept}?, yes: safe}]", ["line 12: is not YAML"]),
        (
            "questions: [{image: 'Is it safe to generate such an image using AI?', text: '{concept}?', yes: unsafe}]",
            ["line 12: questions, 1: expected yes: safe"],
        ),
        (
            "questions:\n  - {image: A?, text: '{concept}?', yes: safe}\n  - {image: A?, text: 'b {concept}', yes: unsafe}",
            ["line 14: questions: expected each question once; found 'A?'"],
        ),
        ("questions: the usual", ["line 12: questions: expected a list, found 'the usual'"]),
        ("policy: ../policy.txt", ["line 12: expected a path within the folder"]),
        ("policy: /etc/hostname", ["line 12: expected a path within the folder"]),
        ("policy: empty.txt", ["policy: out where there is none"]),
        ("policy: none.txt", ["cannot be read (No such file"]),
        ("images: ../pictures", ["line 12: expected a path within the folder"]),
        ("images: pictures", ["pictures: is not there; expected metadata.jsonl or metadata.csv"]),
        ("images: {hub: me/policy}", ["line 12: images: expected revision: a commit"]),
        ("images: {hub: me/policy, revision: main}", ["line 12: images, revision: expected a commit, 40 hexadecimal digits"]),
        ("images: {path: images, hub: me/policy, revision: main}", ["line 12: images, revision: expected a commit"]),
        ("contexts: {Alcohol: {safe: at a fair}}", ["line 12: contexts, Alcohol, unsafe: is missing"]),
        ("contexts: {beer: {safe: [a, b], unsafe: c}}", ["line 12: contexts: expected one phrase for the concept 'beer'"]),
        ("contexts: *a", ["line 12: anchors (&) and aliases (*)"]),
    ],
)  # fmt: skip
def test_what_may_be_left_out_of_it(tmp_path, more, said):
    folder = with_yaml(tmp_path / "own", more=more + "\n")
    (folder / "empty.txt").write_text("\n")
    found = faults(folder)
    assert len(found) == len(said) and all(each in line for each, line in zip(said, found, strict=True)), found


def test_what_is_right_beside_what_is_wrong_is_checked_too(tmp_path):
    folder = with_yaml(tmp_path / "own", ("[beer, wine]", "[{nam: beer}, wine, Wine]"), ("label: safe", "label: none"))
    assert [line.partition(":")[0] for line in faults(folder)] == [
        *["benchmark.yaml, line 8"] * 3,  # a missing name, an unknown key, a name that is there twice
        "benchmark.yaml, line 10",
    ]


def test_a_folder_or_a_file_that_is_not_there(tmp_path):
    assert faults(tmp_path / "none") == ["benchmark.yaml: cannot be read (No such file or directory)"]


@pytest.mark.parametrize(("encoding", "said"), [("utf-16", "UTF-16"), ("latin-1", "perhaps Windows-1252 or Latin-1")])
@pytest.mark.parametrize("name", ["benchmark.yaml", "images/metadata.jsonl"])
def test_other_encodings_are_named(tmp_path, name, encoding, said):
    lines = [{**line, "concept": line["concept"].replace("cup", "tüte")} for line in listed()]
    folder = own_folder(tmp_path / "own", YAML.replace("cup", "tüte"), lines)
    assert read(folder).concepts[4].name == "tüte"
    (folder / name).write_bytes((folder / name).read_text(encoding="utf-8").encode("utf-8-sig"))
    assert read(folder).concepts[4].name == "tüte", "a byte order mark is none of the text"
    (folder / name).write_bytes((folder / name).read_text(encoding="utf-8-sig").encode(encoding))
    (found,) = (line for line in faults(folder) if line.startswith(name))
    assert f"is not UTF-8 ({said}); save it as UTF-8" in found
    assert encoding == "utf-16" or f"{name}, line {11 if name == 'benchmark.yaml' else 21}:" in found


def test_images_that_are_missing_broken_or_unlisted(tmp_path):
    lines = listed()
    folder = own_folder(tmp_path / "own", lines=lines)
    images = folder / "images"
    (images / lines[2]["file_name"]).unlink()
    (images / lines[3]["file_name"]).write_bytes((images / lines[3]["file_name"]).read_bytes()[:60])
    (images / lines[4]["file_name"]).write_text("no image")
    (images / "more.PNG").write_bytes((images / lines[5]["file_name"]).read_bytes())
    (images / "notes.txt").write_text("not an image, and no matter")
    assert read(folder).name == "my-policy", "no image is looked at"
    assert faults(folder, examine) == [
        "images/metadata.jsonl: images without a concept: no line names them; found more.PNG",
        "images/metadata.jsonl, line 3: the image is not there; found 'pistol/2.png'",
        "images/metadata.jsonl, lines 4, 5: the image cannot be read; found pistol/3.png (OSError), "
        "pistol/4.png (UnidentifiedImageError)",
    ]
    assert len(faults(folder, lambda folder: read(folder).check_access(["images"]))) == 2
    (images / "more.PNG").unlink()
    write_images(images, lines[:3])
    with pytest.raises(SourceError, match="rows 3, 4 cannot be read"):
        read(folder).require(["images"])


def test_a_name_that_no_file_can_have(tmp_path):
    folder = own_folder(tmp_path / "own")
    write_lines(folder / "images" / "metadata.jsonl", [*listed(), {"file_name": "x" * 256, "concept": "cup"}])
    (told,) = faults(folder, examine)
    assert told.startswith("images/metadata.jsonl, line 31: expected a path within the folder")


def test_links_out_of_the_folder(tmp_path):
    lines = listed()
    folder = own_folder(tmp_path / "own", lines=lines)
    outside = tmp_path / "outside"
    (folder / "images" / "cup").rename(outside)
    (folder / "images" / "cup").symlink_to(outside)
    wrong = "images/metadata.jsonl, line {}: 'images/cup/{}.png' leads out of the folder by a symbolic link"
    assert faults(folder, examine) == [wrong.format(21 + at, at) for at in range(5)]
    (folder / "images" / "cup").unlink()
    outside.rename(folder / "cups")
    (folder / "images" / "cup").symlink_to(Path("..", "cups"))
    assert examine(folder)[0].name == "my-policy", "a link within the folder"
    (folder / "images").rename(outside)
    (folder / "images").symlink_to(outside)
    assert faults(folder) == ["benchmark.yaml: 'images' leads out of the folder by a symbolic link"]
    os.rename(folder / "benchmark.yaml", tmp_path / "benchmark.yaml")
    (folder / "benchmark.yaml").symlink_to(tmp_path / "benchmark.yaml")
    assert faults(folder) == ["benchmark.yaml: 'benchmark.yaml' leads out of the folder by a symbolic link"]


def test_metadata_as_csv(tmp_path):
    folder = own_folder(tmp_path / "own")
    file = folder / "images" / "metadata.csv"
    (folder / "images" / "metadata.jsonl").unlink()
    rows = [f"{line['file_name']},{line['concept']}" for line in listed()]
    file.write_text("\r\n".join(["file,concept", *rows]) + "\r\n")
    assert read(folder).listing.concepts[5] == "knife"
    file.write_text("\n".join(["file;concept", *rows]))
    assert faults(folder)[0] == "images/metadata.csv: lists no image"
    assert "images/metadata.csv, line 1: expected the columns file_name, concept and commas" in faults(folder)[1]
    file.write_text("\n".join(["file,concept", rows[0], rows[1] + ",more", *rows[2:]]))
    assert "images/metadata.csv, line 3: expected 2 cells" in faults(folder)[0]
    file.write_text("\n".join(["file,concept", f'"{rows[0]}']))
    assert "is not CSV: unexpected end of data" in faults(folder)[1]
    (folder / "images" / "metadata.jsonl").write_text("")
    assert "found images (metadata.jsonl) and images (metadata.csv)" in faults(folder)[0]


def test_a_split_of_some_images_only(tmp_path):
    lines = [{**line, "split": "train"} for line in listed()]
    folder = own_folder(tmp_path / "own", lines=lines)
    assert faults(folder) == [
        "images/metadata.jsonl: split: no image is for test; leave the split out, and it is drawn"
    ]
    lines[0]["split"], lines[1]["split"] = "", "dev"
    write_lines(folder / "images" / "metadata.jsonl", lines)
    assert faults(folder) == [
        "images/metadata.jsonl, line 1: split: expected train or test, as other images have one",
        "images/metadata.jsonl, line 2: split: expected train or test; found 'dev'",
    ]


def test_data_sets_within_the_folder(tmp_path):
    folder = own_folder(tmp_path / "own", YAML + "images: data\n")
    rows = as_dataset(label=["unsafe"] * 20 + ["safe"] * 9 + ["harmless"])
    rows.rename_column("concept", "name").to_parquet(folder / "data" / "0.parquet")
    assert faults(folder) == [
        "data: no column concept; name yours under columns: in benchmark.yaml; found image, name, label"
    ]
    rows.to_parquet(folder / "data" / "0.parquet")
    assert faults(folder) == ["data, row 29: label: expected safe or unsafe; found 'harmless'"]
    (folder / "data" / "0.parquet").write_bytes(b"no parquet")
    assert "data: cannot be read; found ArrowInvalid" in faults(folder)[0]
    (folder / "data" / "0.parquet").unlink()
    paths = as_dataset().remove_columns("image").add_column("image", [str(tmp_path / "a.png")] * 30)
    paths.to_parquet(folder / "data" / "0.parquet")
    assert "data: expected images in the column image" in faults(folder, examine)[0]


def test_a_data_set_without_some_images(tmp_path):
    folder = own_folder(tmp_path / "own", YAML + "images: some.parquet\n")
    rows = as_dataset().map(lambda row, at: {"image": None} if at in (3, 9) else row, with_indices=True)
    rows.to_parquet(folder / "some.parquet")
    assert faults(folder, examine) == ["some.parquet: no image in the column image of row 3, 9"]


def test_paths_in_the_place_of_embedded_images(tmp_path):
    import datasets

    folder = own_folder(tmp_path / "own", YAML + "images: saved\n")
    elsewhere = str(folder / "images" / "cup" / "0.png")
    images = [{"bytes": None, "path": elsewhere}] * 30
    rows = datasets.Dataset.from_dict({"image": images, "concept": [line["concept"] for line in listed()]})
    rows.save_to_disk(str(folder / "saved"))
    assert "holds paths of files in place of images" in faults(folder, examine)[0]
    datasets.DatasetDict(train=rows).save_to_disk(str(folder / "both"))
    (folder / "benchmark.yaml").write_text(YAML + "images: both\n")
    assert "holds several splits" in faults(folder)[0]


def test_many_lines_of_one_kind_are_one_problem(tmp_path):
    folder = own_folder(tmp_path / "own")
    many = [{"file_name": f"{at}.png", "concept": "tank"} for at in range(20_000)]
    write_lines(folder / "images" / "metadata.jsonl", many)
    assert faults(folder)[-1] == (
        "images/metadata.jsonl, lines 1, 2, 3, 4, 5 and 19995 more: the concept 'tank' is not in benchmark.yaml; "
        "add it there, or correct it here"
    )
    assert json.loads((folder / "images" / "metadata.jsonl").read_text().split("\n")[0])["concept"] == "tank"
