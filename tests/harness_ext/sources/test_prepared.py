"""Images made ready: RGB for any reader, their own files where those are, and made once."""

import io
import os
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from harness_ext.common.errors import SourceError
from harness_ext.sources import prepared
from harness_ext.sources.images import ImageError, to_rgb
from harness_ext.sources.prepared import ready

NOISE = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)


def file(image: Image.Image, kind: str, **options: Any) -> bytes:
    written = io.BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


COLOURS, SEE_THROUGH = Image.fromarray(NOISE[..., :3]), Image.fromarray(NOISE)
AS_THEY_ARE = {
    "png": file(COLOURS, "PNG"),
    "jpeg": file(COLOURS, "JPEG"),
    "upright jpeg": file(COLOURS, "JPEG", exif=exif(1)),
}
CHANGED = {
    "transparent": file(SEE_THROUGH, "PNG"),
    "a transparent colour": file(COLOURS, "PNG", transparency=tuple(NOISE[0, 0, :3].tolist())),
    "palette": file(COLOURS.quantize(16), "PNG"),
    "animation": file(COLOURS, "GIF", save_all=True, append_images=[COLOURS.rotate(180)]),
    "grey": file(COLOURS.convert("L"), "PNG"),
    "deep grey": file(Image.fromarray(NOISE[..., 0].astype(np.uint16) * 250), "PNG"),
    "print colours": file(COLOURS.convert("CMYK"), "JPEG"),
    "turned jpeg": file(COLOURS, "JPEG", exif=exif(6)),
}


def rows_of(contents: list[Any]) -> datasets.Dataset:
    columns = {"image": contents, "row": list(range(len(contents)))}
    features = datasets.Features(image=datasets.Image(), row=datasets.Value("int64"))
    return datasets.Dataset.from_dict(columns, features=features)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNSAFECONCEPTS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> list[str]:
    paths = []
    for name, content in {**AS_THEY_ARE, **CHANGED}.items():
        (tmp_path / name).write_bytes(content)
        paths.append(str(tmp_path / name))
    return paths


@pytest.mark.parametrize("in_files", [True, False])
def test_every_reader_sees_what_to_rgb_shows(folder: list[str], in_files: bool) -> None:
    contents = [*AS_THEY_ARE.values(), *CHANGED.values()]
    made = ready(rows_of(folder if in_files else [{"bytes": each, "path": None} for each in contents]))
    assert [len(each) for each in made["hash"]] == [16] * len(contents)
    for at, image in enumerate(made.cast_column("image", datasets.Image())["image"]):
        shown = to_rgb({"bytes": contents[at], "path": None}, at)
        assert image.mode == "RGB" and image.size == shown.size and image.tobytes() == shown.tobytes()
    kept = [row["bytes"] == content for row, content in zip(made["image"], contents, strict=True)]
    assert kept == [True] * len(AS_THEY_ARE) + [False] * len(CHANGED)


def test_images_are_made_ready_once(folder: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    first = ready(rows_of(folder))
    with monkeypatch.context() as patch:
        patch.setattr(prepared, "to_rgb", None)
        assert ready(rows_of(folder))["hash"][:] == first["hash"][:]
    Path(folder[0]).write_bytes(file(COLOURS.rotate(90), "PNG"))
    os.utime(folder[0], ns=(0, 0))
    assert ready(rows_of(folder))["hash"][0] != first["hash"][0]


def test_an_image_that_cannot_be_read(folder: list[str]) -> None:
    Path(folder[3]).write_bytes(CHANGED["transparent"][:-40])
    with pytest.raises(ImageError, match="row 3: the image cannot be read"):
        ready(rows_of(folder))
    Path(folder[3]).write_bytes(CHANGED["transparent"])
    assert len(ready(rows_of(folder))) == len(folder), "what was begun is not taken for the whole"


def test_a_cache_folder_that_cannot_be_written(folder: list[str], cache: Path) -> None:
    cache.mkdir()
    (cache / "images-ready").write_text("a file in its place")
    with pytest.raises(SourceError, match=r"images-ready.* cannot be written"):
        ready(rows_of(folder))
