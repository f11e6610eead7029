"""The example of a benchmark of one's own: what is built, and that the known errors of its guard stub come out."""

import json
from pathlib import Path

import own_demo
import pytest
import yaml
from npm_package import NotFetched, fetch
from PIL import Image

from harness_ext.common.errors import UserError

# The smallest of the packages.
FLUENT = [style for style in own_demo.STYLES if style.name == "fluent"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example in one style, built in the place of an earlier one."""
    folder = tmp_path_factory.mktemp("built") / "emoji-policy"
    folder.mkdir()
    (folder / "LICENCES.txt").write_text("of an earlier one")
    (folder / "left.txt").write_text("over")
    assert own_demo.build(folder, FLUENT) == 58
    return folder


def test_every_concept_has_its_pictures(folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "images" / "metadata.jsonl").read_text().splitlines()]
    written = yaml.safe_load((folder / "benchmark.yaml").read_text())["concepts"]
    named = [each for of in written.values() for each in (of["of"] if isinstance(of, dict) else of)]
    names = [each["name"] if isinstance(each, dict) else each for each in named]
    assert list(dict.fromkeys(row["concept"] for row in rows)) == names
    assert {path.name for path in folder.iterdir()} == {"LICENCES.txt", "benchmark.yaml", "images", "policy.txt"}
    assert {row["file_name"] for row in rows} == {path.name for path in (folder / "images").glob("*.png")}
    for row in rows:
        with Image.open(folder / "images" / row["file_name"]) as image:
            assert (image.mode, image.size, image.getpixel((0, 0))) == ("RGB", (256, 256), (255, 255, 255))
    assert "Fluent Emoji, Microsoft, MIT" in (folder / "LICENCES.txt").read_text()


def test_the_policy_names_every_unsafe_category(folder: Path) -> None:
    written = yaml.safe_load((folder / "benchmark.yaml").read_text())["concepts"]
    policy = (folder / "policy.txt").read_text()
    assert {of for of in written if f"\n- {of}:" in policy} == {
        of for of, each in written.items() if isinstance(each, list)
    }


def test_nothing_else_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something else"):
        own_demo.build(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_an_emoji_that_a_package_lacks_is_named() -> None:
    with pytest.raises(UserError, match=r"fluent-emoji-3d@1\.1\.0 has no package/assets/0078\.webp"):
        list(own_demo.drawn(FLUENT[0], ["🔪", "x"]))


def test_another_archive_is_refused() -> None:
    with pytest.raises(NotFetched, match="expected sha512 AAAA, found Wlq2"):
        fetch(FLUENT[0].package, "AAAA")
    with pytest.raises(NotFetched, match=r"npm pack .* failed .*ETARGET"):
        fetch("@lobehub/fluent-emoji-3d@0.0.0", "AAAA")
