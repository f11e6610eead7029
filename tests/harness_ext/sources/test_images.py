import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageFile

from harness_ext.sources.images import FORMATS, MAX_PIXELS, ImageError, strict_decoding, to_rgb

# Those in scikit-image's wheel. Pillow cannot read the planar layout of one of them.
SHIPPED = sorted(
    path for path in Path(skimage.data.__file__).parent.iterdir() if path.suffix in {".png", ".jpg", ".gif", ".tif"}
)
UNREADABLE = Path(skimage.data.__file__).with_name("multipage_rgb.tif")
PHOTOGRAPHS = [path for path in SHIPPED if path != UNREADABLE]
RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)
ORIENTATION = 0x0112


def file_of(image: Image.Image, kind: str = "PNG", **options) -> dict:
    """An image file in memory, as a dataset hands it out undecoded."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return {"bytes": buffer.getvalue(), "path": None}


def shown(image: Image.Image | dict) -> np.ndarray:
    result = to_rgb(image, row=7)
    assert result.mode == "RGB"
    return np.asarray(result)


def noise(height: int, width: int, channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


# --- kinds of images --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PHOTOGRAPHS, ids=lambda path: path.name)
def test_photographs_look_as_they_do(path):
    """By file and by bytes alike; against compositing in floating point on the file's own samples."""
    result = shown({"bytes": None, "path": str(path)})
    assert np.array_equal(result, shown({"bytes": path.read_bytes(), "path": None}))
    with Image.open(path) as image:
        samples = np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGBA")).astype(float)
    if samples.ndim == 2:
        samples = np.repeat(samples[..., None], 3, axis=2)
    if samples.shape[2] == 4:
        alpha = samples[..., 3:] / 255
        samples = samples[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(result - samples).max() <= 1


def test_the_photographs_cover_what_they_should():
    modes = set()
    for path in PHOTOGRAPHS:
        with Image.open(path) as image:
            modes.add(image.mode)
    assert {"RGB", "RGBA", "L"} <= modes
    assert len(PHOTOGRAPHS) >= 20


@given(arrays.arrays(np.uint8, (3, 4, 4)))
def test_transparency_is_composited_on_white(pixels):
    alpha = pixels[..., 3:] / 255
    expected = pixels[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(shown(file_of(Image.fromarray(pixels))) - expected).max() <= 1


@given(arrays.arrays(np.uint8, (3, 4, 3)))
def test_what_is_rgb_already_is_left_alone(pixels):
    once = to_rgb(file_of(Image.fromarray(pixels)), row=0)
    assert np.array_equal(np.asarray(once), pixels)
    assert np.array_equal(shown(once), pixels)


def test_grey_with_alpha():
    pixels = np.array([[[100, 255], [100, 0]]], dtype=np.uint8)
    assert shown(file_of(Image.fromarray(pixels, "LA"))).tolist() == [[[100] * 3, [255] * 3]]


def test_palettes_with_and_without_a_transparent_entry():
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *GREEN])
    image.putpixel((1, 0), 1)
    assert shown(file_of(image)).tolist() == [[list(RED), list(GREEN)]]
    assert shown(file_of(image, transparency=1)).tolist() == [[list(RED), list(WHITE)]]


def test_colours_that_stand_for_transparency():
    rgb = Image.new("RGB", (2, 1), RED)
    rgb.putpixel((1, 0), GREEN)
    assert shown(file_of(rgb, transparency=GREEN)).tolist() == [[list(RED), list(WHITE)]]
    grey = Image.fromarray(np.array([[10, 20]], dtype=np.uint8))
    assert shown(file_of(grey, transparency=20)).tolist() == [[[10] * 3, [255] * 3]]
    deep = Image.fromarray(np.array([[257 * 10, 257 * 20]], dtype=np.uint16))
    deep.info["transparency"] = 257 * 20
    assert shown(deep).tolist() == [[[10] * 3, [255] * 3]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped(kind):
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    file = file_of(Image.fromarray(levels * 257), kind)
    with Image.open(io.BytesIO(file["bytes"])) as image:
        assert image.mode.startswith("I;16")
    assert np.array_equal(shown(file)[..., 0], levels)


@pytest.mark.parametrize("mode", ["I", "I;16B"])
def test_other_16_bit_grey(mode):
    levels = np.arange(256).reshape(16, 16)
    if mode == "I":
        image = Image.fromarray((levels * 257).astype(np.int32))
    else:
        image = Image.frombytes("I;16B", (16, 16), (levels * 257).astype(">u2").tobytes())
    assert image.mode == mode
    assert np.array_equal(shown(image)[..., 0], levels)
    assert np.array_equal(shown(image)[..., 2], levels)


def test_16_bit_colour_png():
    """Pillow cannot write one: three samples of 16 bits, the high byte is what is shown."""
    pixels = b"\0" + struct.pack(">3H", 0x1234, 0xFF00, 0x00FF)
    header = struct.pack(">2I5B", 1, 1, 16, 2, 0, 0, 0)
    assert shown({"bytes": png_of(header, zlib.compress(pixels)), "path": None}).tolist() == [[[0x12, 0xFF, 0x00]]]


def test_one_bit():
    pixels = np.array([[True, False]])
    assert shown(file_of(Image.fromarray(pixels))).tolist() == [[[255] * 3, [0] * 3]]


def test_cmyk():
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert shown(file_of(image, "TIFF"))[0, 0].tolist() == list(RED)
    assert np.abs(shown(file_of(image, "JPEG", quality=95))[4, 4].astype(int) - RED).max() <= 3


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_shown(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN)]
    options = {"lossless": True} if kind == "WEBP" else {}
    file = file_of(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    with Image.open(io.BytesIO(file["bytes"])) as image:
        assert image.n_frames == 2
    assert shown(file)[0, 0].tolist() == list(RED)


# What a viewer must do to the stored samples, by EXIF orientation (CIPA DC-008, "Orientation").
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied_once(orientation):
    stored = noise(5, 3, 3)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = file_of(Image.fromarray(stored), exif=exif)
    assert np.array_equal(shown(file), UPRIGHT[orientation](stored))
    assert np.array_equal(shown(to_rgb(file, row=0)), UPRIGHT[orientation](stored))


def test_the_image_given_is_not_changed():
    given_image = Image.fromarray(noise(4, 4, 4))
    before = given_image.tobytes()
    result = to_rgb(given_image, row=0)
    result.putpixel((0, 0), (1, 2, 3))
    assert given_image.mode == "RGBA" and given_image.tobytes() == before


# --- refusals ---------------------------------------------------------------------------------------------------------


def png_of(header: bytes, data: bytes = b"") -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def header_of(width: int, height: int) -> bytes:
    return struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [8001, 10_000, 50_000], ids=["above ours", "Pillow warns", "Pillow refuses"])
def test_huge_images_are_refused_before_they_are_decoded(side):
    with pytest.raises(ImageError, match=r"^row 7: .*pixels"):
        to_rgb({"bytes": png_of(header_of(side, side)), "path": None}, row=7)
    assert side**2 > MAX_PIXELS


def test_the_limit_itself_is_accepted():
    assert to_rgb(Image.new("1", (8000, 8000)), row=0).size == (8000, 8000)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
@pytest.mark.parametrize("kept", [0.05, 0.6, 0.97])
def test_a_truncated_file_is_refused_though_the_harness_asks_for_leniency(monkeypatch, kind, kept):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as lmms_eval.api.task does
    whole = file_of(Image.fromarray(noise(64, 64, 3)), kind)["bytes"]
    with pytest.raises(ImageError, match=r"^row 7: the image cannot be read"):
        to_rgb({"bytes": whole[: int(kept * len(whole))], "path": None}, row=7)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_strictness_ends_with_its_last_user(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with strict_decoding():
        with strict_decoding():
            assert ImageFile.LOAD_TRUNCATED_IMAGES is False
        assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@pytest.mark.parametrize(
    "undecoded",
    [
        {"bytes": b"<html>not an image</html>", "path": None},
        {"bytes": b"", "path": None},
        {"bytes": None, "path": "/nowhere/7.png"},
        {"bytes": None, "path": str(UNREADABLE)},
        {"bytes": None, "path": None},
        {"bytes": png_of(header_of(4, 4), b"not compressed data"), "path": None},
        {"bytes": png_of(header_of(0, 4)), "path": None},
    ],
    ids=["text", "empty", "missing file", "unknown layout", "nothing", "damaged", "no width"],
)
def test_what_is_no_image_is_refused_by_row(undecoded):
    with pytest.raises(ImageError, match=r"^row 7: the image cannot be read") as caught:
        to_rgb(undecoded, row=7)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("values", [np.full((2, 2), 70_000), np.full((2, 2), -1)])
def test_integers_without_a_defined_white_are_refused(values):
    with pytest.raises(ImageError, match=r"row 7: .*expected 0 to 65535"):
        to_rgb(Image.fromarray(values.astype(np.int32)), row=7)


def test_floats_are_refused():
    with pytest.raises(ImageError, match=r"row 7: .*no defined white"):
        to_rgb(Image.fromarray(np.ones((2, 2), dtype=np.float32)), row=7)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_an_image_or_an_image_error(content):
    try:
        assert to_rgb({"bytes": content, "path": None}, row=7).mode == "RGB"
    except ImageError as error:
        assert str(error).startswith("row 7:")


@given(st.integers(0, 5000), st.integers(1, 255))
def test_a_flipped_byte_is_an_image_or_an_image_error(position, change):
    content = bytearray(file_of(Image.fromarray(noise(16, 16, 4)))["bytes"])
    content[position % len(content)] ^= change
    try:
        to_rgb({"bytes": bytes(content), "path": None}, row=7)
    except ImageError as error:
        assert str(error).startswith("row 7:")


@pytest.mark.parametrize("kind", ["EPS", "PPM", "TGA", "ICO", "PDF"])
def test_a_file_of_a_format_that_is_not_listed_is_never_decoded(kind: str) -> None:
    with pytest.raises(ImageError, match=r"row 7: .*expected a file of BMP, GIF, JPEG, PNG, TIFF, WEBP"):
        shown(file_of(Image.new("RGB", (16, 16), RED), kind))


@pytest.mark.parametrize("kind", FORMATS)
def test_every_listed_format_is_read(kind: str) -> None:
    assert shown(file_of(Image.new("RGB", (16, 16), RED), kind)).shape == (16, 16, 3)


def test_a_jpeg_with_a_second_image_in_it_is_a_jpeg() -> None:
    second = Image.new("RGB", (16, 16), GREEN)
    file = file_of(Image.new("RGB", (16, 16), RED), "MPO", save_all=True, append_images=[second])
    assert shown(file).shape == shown(Image.open(io.BytesIO(file["bytes"]))).shape == (16, 16, 3)
