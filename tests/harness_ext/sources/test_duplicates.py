"""Which images are alike, and where they go."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance

from harness_ext.sources.duplicates import DUPLICATE_BITS, near_duplicates
from harness_ext.sources.prepared import perceptual_hash


def picture(number: int, size: int = 200) -> Image.Image:
    coarse = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


def recompressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=40)
    return Image.open(file)


def watermarked(image: Image.Image) -> Image.Image:
    ImageDraw.Draw(image).text((10, 180), "watermark", fill="white")
    return image


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((90, 300)),
        recompressed,
        lambda image: ImageEnhance.Contrast(image).enhance(0.7),
        watermarked,
    ],
    ids=["scaled", "recompressed", "pale", "watermarked"],
)
def test_a_hash_outlives_small_changes(change) -> None:
    for number in range(20):
        original = perceptual_hash(picture(number))
        assert (original ^ perceptual_hash(change(picture(number)))).bit_count() <= 4


def test_a_hash_tells_pictures_apart() -> None:
    hashes = [perceptual_hash(picture(number)) for number in range(40)]
    assert min((a ^ b).bit_count() for at, a in enumerate(hashes) for b in hashes[:at]) > 10
    assert all(0 <= each < 2**64 for each in hashes)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_flat_images_are_alike(colour: tuple[int, int, int]) -> None:
    assert perceptual_hash(Image.new("RGB", (50, 50), colour)) in (0, 1 << 63)


HASHES = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=8)


@given(HASHES, HASHES, st.randoms())
def test_a_near_duplicate_is_named_with_the_nearest_image_of_test(train: list[int], test: list[int], rng) -> None:
    for origin in test + train[:1]:
        train.append(origin ^ sum(1 << bit for bit in rng.sample(range(64), rng.randrange(8))))
    hashes = train + test
    rows, others = list(range(len(train))), list(range(len(train), len(hashes)))
    found = {each.row: each for each in near_duplicates(rows, others, hashes)}
    for row in rows:
        apart = {other: (hashes[row] ^ hashes[other]).bit_count() for other in others}
        assert (row in found) is (min(apart.values()) <= DUPLICATE_BITS)
        if row in found:
            assert found[row].bits == min(apart.values()) == apart[found[row].test]
